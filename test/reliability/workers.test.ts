import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeClient } from '../../clients/sdk/client.ts';
import { type Installation, KEY, openInstallation } from '../support/clouds/aws/installation.ts';
import { missingForDynamodb } from '../support/dynamodb-local.ts';
import { processesWith } from '../support/processes.ts';
import { makeDice } from './dice.ts';
import { startLoad } from './load/clients.ts';
import { openJournal } from './load/journal.ts';
import { judge } from './load/judge.ts';
import { makeScenario } from './load/scenarios.ts';

const needs = missingForDynamodb.length > 0 ? ` (needs ${missingForDynamodb.join(', ')})` : '';
/** More by hand: ERRAND_WORKER_ROUNDS=200 ERRAND_SEED=1 npx vitest run test/reliability/workers.test.ts */
const ROUNDS = Number(process.env['ERRAND_WORKER_ROUNDS'] ?? 4);
const SEED = Number(process.env['ERRAND_SEED'] ?? Date.now() % 1_000_000);
const IN_FLIGHT = 8;
/** A worker that is gone is noticed when its lease is over, and its message comes again. */
const PATIENCE_MS = 180_000;
const TIMEOUT_MS = 60_000 + ROUNDS * 15_000 + PATIENCE_MS;

/**
 * The functions, each a process of its own: those that carry commands most often. By hand also what runs the command: that it is
 * gone is known when its lease is over, after two minutes.
 */
const VICTIMS = [
  ...(['run-commands', 'run-commands', 'run-commands', 'commands', 'runner', 'output', 'sweep'] as const),
  ...(process.env['ERRAND_WORKER_ROUNDS'] ? (['execute'] as const) : []),
];
type Victim = (typeof VICTIMS)[number];

describe.skipIf(missingForDynamodb.length > 0)(`Errand as deployed to AWS, kept busy${needs}`, () => {
  let cloud: Installation;
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  beforeAll(async () => {
    cloud = await openInstallation({ folder });
  }, TIMEOUT_MS);
  afterAll(async () => {
    await cloud?.close();
    rmSync(folder, { recursive: true, force: true });
  }, TIMEOUT_MS);

  test(`with its processes killed ${ROUNDS} times loses nothing that it acknowledged, and runs nothing twice`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    const dice = makeDice(SEED);
    const [kills, choices] = [dice.fork(), dice.fork()];
    const ran = join(folder, 'ran');
    writeFileSync(ran, '');
    const journal = openJournal(join(folder, 'journal'), Date.now);
    const client = makeClient({ url: cloud.url, streamUrl: cloud.streamUrl, apiKey: KEY });
    let n = 0;
    const scenario = { ran, mark: folder, target: 'lambda' };
    const next = (own: typeof dice) => makeScenario(++n, own, scenario);
    const load = startLoad({ client, journal, dice: choices, inFlight: IN_FLIGHT, next });
    for (let round = 0; round < ROUNDS; round++) {
      await sleep(kills.between(5, 2_000));
      const victim = kills.oneOf(VICTIMS as [Victim, ...Victim[]]);
      const sweeping = victim === 'sweep' ? cloud.sweep().catch(() => {}) : undefined;
      await cloud.kill(victim);
      await sweeping;
    }
    const quiet = new AbortController();
    const sweeping = (async () => {
      // What the schedule does each minute, so that what is due is not waited for.
      while (!quiet.signal.aborted) {
        await cloud.sweep().catch(() => {});
        await sleep(2_000);
      }
    })();
    await load.stop(PATIENCE_MS);
    const { findings, byStatus } = await judge(client, journal.take(), { ran, patienceMs: PATIENCE_MS });
    quiet.abort();
    await sweeping;
    const text = `seed ${SEED}, ${ROUNDS} kills, ${n} commands: ${JSON.stringify(byStatus)}`;
    if (process.env['ERRAND_WORKER_ROUNDS']) process.stdout.write(`${text}\n${findings.join('\n')}\n`);
    expect(findings, text).toEqual([]);
    expect(processesWith(`MARK=${folder}`)).toEqual([]);
  });
});
