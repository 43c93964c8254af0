import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Site } from '../processes.ts';
import { PROGRAMS, type RunningSystem } from './system.ts';

/** A package of its own, so that nobody who installs Errand gets its peers. */
const FOLDER = join(import.meta.dirname, '..', '..', 'peers');

/** At least two, so that no queue runs its commands in the process that takes them in. */
const WORKERS = Math.max(2, availableParallelism());
/** Enough for the most clients of a row. */
const COMMANDS_AT_ONCE = Math.ceil(100 / WORKERS);

type QueueName = 'bullmq' | 'graphile-worker' | 'pg-boss';

/** The command that installs the peers that are npm packages, unless this one is there as the lock file has it. */
export const missingPeer = (name: QueueName): string | undefined => {
  const { dependencies } = readJson('package.json') as { dependencies: Record<QueueName, string> };
  const isThere = existsSync(join(FOLDER, 'node_modules', name)) && versionOf(name) === dependencies[name];
  return isThere ? undefined : 'npm ci --prefix bench/peers';
};

const readJson = (...path: string[]): unknown => JSON.parse(readFileSync(join(FOLDER, ...path), 'utf8'));

const versionOf = (name: QueueName): string =>
  (readJson('node_modules', name, 'package.json') as { version: string }).version;

/** A queue behind an HTTP front, with worker processes apart from it, that answers like `Prefer: wait`: when the result is known. */
export const startQueue = async (
  { launch }: Site,
  name: QueueName,
  { address, store }: { readonly address: string; readonly store: string },
): Promise<RunningSystem> => {
  const env = { ...process.env, NODE_ENV: 'production' };
  // The front first: it makes the tables that the workers need.
  const { said } = await launch(process.execPath, [join(FOLDER, 'front.mjs'), name, address], {
    ready: /port (\d+)/,
    env,
  });
  const args = [join(FOLDER, 'worker.mjs'), name, address, String(COMMANDS_AT_ONCE)];
  const workers = Array.from({ length: WORKERS }, () => launch(process.execPath, args, { ready: /ready/, env }));
  await Promise.all(workers);
  return {
    version: `${versionOf(name)} on ${store}, ${WORKERS} worker processes`,
    port: Number(said[1]),
    requestFor(program, isolation) {
      if (isolation !== 'none') return undefined;
      const { exitCode, stdout, ...what } = PROGRAMS[program];
      return {
        path: '/',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ argv: 'argv' in what ? what.argv : ['/bin/sh', '-c', what.script] }),
        expected: JSON.stringify({ exitCode, stdout }),
      };
    },
    readAnswer: (_status, body) => JSON.parse(body),
  };
};
