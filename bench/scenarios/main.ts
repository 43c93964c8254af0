import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeClient } from '../../clients/sdk/client.ts';
import { openSite } from '../side-by-side/processes.ts';
import { flood } from './flood.ts';
import { queueUp } from './queued.ts';
import { readAlong } from './readers.ts';

/* `npm run load -- SCENARIO`: one kind of load on a server of its own, and what came of it. docs/reliability.md has the figures. */
interface Loaded {
  readonly url: string;
  readonly pid: number;
  /** Of its own. */
  readonly folder: string;
}

const READERS = { readers: 500, bytes: 4_000_000, cutBytes: 2_000_000 };

const SCENARIOS: Readonly<Record<string, (server: Loaded) => Promise<object>>> = {
  queued: ({ url, folder }) =>
    queueUp(makeClient({ url }), { commands: 10_000, tenants: 20, concurrency: 64, gate: join(folder, 'gate') }),
  flood: ({ url, pid }) =>
    flood(makeClient({ url }), {
      bytes: 1_000_000_000,
      lines: 20_000_000,
      probes: 500,
      memoryMB: () => residentMB(pid),
    }),
  'readers-of-one': ({ url }) => readAlong({ url, commands: 1, ...READERS }),
  'readers-of-many': ({ url }) => readAlong({ url, commands: 50, ...READERS }),
};

const ROOT = join(import.meta.dirname, '..', '..');
const USAGE_EXIT = 2;
const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Linux. */
const residentMB = (pid: number): number =>
  (Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) * 1024) / 1e6;

const main = async (over: AbortSignal): Promise<number> => {
  const [name = ''] = process.argv.slice(2);
  const scenario = Object.hasOwn(SCENARIOS, name) ? SCENARIOS[name] : undefined;
  if (!scenario) {
    say(`Usage: npm run load -- SCENARIO\nScenarios: ${Object.keys(SCENARIOS).join(', ')}`);
    return USAGE_EXIT;
  }
  const folder = mkdtempSync(join('/var/tmp', 'errand-load-'));
  const site = openSite(folder, over);
  try {
    const args = [join(ROOT, 'clients/cli/errand.js'), 'serve', '--port', '0', '--data', join(folder, 'data')];
    const ready = /serves at (http:\/\/127\.0\.0\.1:\d+)/;
    const { pid, said } = await site.launch(process.execPath, args, { ready });
    const figures = await scenario({ url: said[1] as string, pid, folder });
    process.stdout.write(`${JSON.stringify({ scenario: name, ...figures }, undefined, 2)}\n`);
    return 0;
  } finally {
    await site.close();
    rmSync(folder, { recursive: true, force: true });
  }
};

const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interruption.abort());
process.exitCode = await main(interruption.signal).catch((error: unknown) => {
  say(String((error as Error).message));
  return 1;
});
