import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, makeClient } from '../../clients/sdk/client.ts';
import { type Dice, makeDice } from './dice.ts';
import { type ServerProcess, spawnServer } from './embedded-server.ts';
import { type Load, startLoad } from './load/clients.ts';
import { openJournal } from './load/journal.ts';
import { judge } from './load/judge.ts';
import { makeScenario } from './load/scenarios.ts';
import { keepSecrets } from './load/secrets.ts';
import { type Report, startReport } from './report.ts';

export interface RoundsOptions {
  readonly rounds: number;
  readonly seed: number;
  /** Where it may write: the server's data, and what is kept outside of it. */
  readonly folder: string;
  /** The project, or a copy of it without the native launcher. */
  readonly root: string;
  readonly port: number;
  /** So many rounds without a quiet moment. @default 25 */
  readonly judgeEvery?: number;
  /** @default 20 */
  readonly inFlight?: number;
  /** For what was acknowledged and still waits when no harm is done any more. @default 60_000 */
  readonly patienceMs?: number;
  /** @default nobody hears it */
  readonly say?: (line: string) => void;
}

/** What differs between a process that is killed and a machine whose power fails. */
export interface Harm {
  readonly dataDirectory: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Ends the server, at a moment and in a way that the dice say. */
  strike(server: ServerProcess, dice: Dice): Promise<{ readonly how: string }>;
  /** Looks at what is left in a quiet moment; the server serves, and runs nothing. */
  quiet(client: Client): Promise<readonly string[]>;
  /** The server was told to stop, and has. */
  stopped(dice: Dice): void;
}

/**
 * Harms the embedded server again and again while callers keep it busy, and judges in quiet moments what became of all that was
 * acknowledged.
 */
export const runRounds = async (options: RoundsOptions, harm: Harm): Promise<Report> => {
  const { rounds, seed, folder, judgeEvery = 25, inFlight = 20, patienceMs = 60_000, say = () => {} } = options;
  const dice = makeDice(seed);
  const [strikes, choices] = [dice.fork(), dice.fork()];
  const ran = join(folder, 'ran');
  mkdirSync(folder, { recursive: true });
  rmSync(join(folder, 'journal'), { force: true });
  writeFileSync(ran, '');
  const journal = openJournal(join(folder, 'journal'), Date.now);
  const report = startReport(seed, say);
  const client = makeClient({
    url: `http://127.0.0.1:${options.port}`,
    // A server that is away is soon back.
    sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, Math.min(milliseconds, 300))),
  });
  const secrets = keepSecrets(client);
  const scenario = { ran, mark: harm.dataDirectory };
  let n = 0;
  const load = (): Load =>
    startLoad({ client, journal, dice: choices, inFlight, next: (own) => makeScenario(++n, own, scenario) });
  const start = (): ServerProcess =>
    spawnServer({ ...options, dataDirectory: harm.dataDirectory, ...(harm.env ? { env: harm.env } : {}) });

  for (let round = 0; round < rounds; ) {
    const callers = load();
    for (const until = Math.min(rounds, round + judgeEvery); round < until; round++) {
      const server = start();
      const putting = server.serves.then(() => secrets.put());
      const { how } = await harm.strike(server, strikes);
      await putting;
      report.harmed(how);
      report.started(await server.serves);
    }
    const server = start();
    const took = await server.serves;
    if (took === undefined) {
      await callers.stop(0);
      report.found(`the server does not start any more: ${await server.gone}`);
      return report;
    }
    report.started(took);
    await callers.stop(patienceMs);
    const { findings, byStatus } = await judge(client, journal.take(), { ran, patienceMs });
    report.ended(byStatus);
    await secrets.put();
    const audit = await client.verifyAudit();
    if (!audit.intact) report.found(`the audit log is not intact: ${JSON.stringify(audit)}`);
    for (const finding of [...findings, ...(await secrets.check()), ...(await harm.quiet(client))])
      report.found(finding);
    server.process.kill('SIGTERM');
    await server.gone;
    harm.stopped(strikes);
    say(`round ${round} of ${rounds}: ${report.line()}`);
  }
  return report;
};
