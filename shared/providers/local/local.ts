import { join } from 'node:path';
import type { Exit } from '../../domain/command.ts';
import type { AttemptKey } from '../../domain/ids.ts';
import type { Provider, ProviderFeatures, Run, RunIo, StartOutcome } from '../provider.ts';
import type { LaunchSpec } from './frames.ts';
import { type LaunchedRun, type Launcher, makeLauncher } from './launcher.ts';
import { canFindTrees, endTree, killTrees, MARKER } from './process-tree.ts';
import { removeWorkDirectory } from './work-directory.ts';

export interface LocalOptions {
  /** Each command gets a folder of its own in here. */
  readonly workDirectory: string;
  /** Whether a worker, by the name that is in its attempts, is alive. */
  readonly isOwnerAlive: (worker: string) => Promise<boolean>;
  /** Processes that spawn commands. @default 2 */
  readonly helpers?: number;
  /** Between TERM and KILL. @default 5 */
  readonly graceSeconds?: number;
}

const features: ProviderFeatures = {
  mode: 'inline',
  startTicket: true,
  liveOutput: true,
  separateStreams: true,
  stdin: true,
  signals: true,
  cancel: canFindTrees ? 'tree' : 'process-group',
  customImage: false,
  resourceLimits: false,
  isolation: ['none'],
  longestTimeoutSeconds: 7 * 24 * 3_600,
};

/** What a command finds in its environment beside what was asked for. */
const BASE_ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
} as const;

/**
 * Runs commands on this machine, as the user of this process, without walls.
 * @throws Error on a platform without POSIX processes
 */
export const local = async (options: LocalOptions): Promise<Provider> => {
  if (process.platform === 'win32') {
    throw new Error('Commands cannot be run on Windows itself. Run Errand in WSL, or use a target elsewhere.');
  }
  const { workDirectory, isOwnerAlive, helpers = 2, graceSeconds = 5 } = options;
  const launcher: Launcher = makeLauncher(helpers);
  const runs = new Map<AttemptKey, LaunchedRun>();
  const folderOf = (key: AttemptKey): string => join(workDirectory, key);
  let closed = false;

  const toSpec = (run: Run, io: RunIo): LaunchSpec => {
    const [commandId = ''] = run.key.split('-');
    const folder = folderOf(run.key);
    return {
      key: run.key,
      argv: run.argv,
      env: { ...BASE_ENVIRONMENT, HOME: folder, ...run.env, ERRAND_COMMAND_ID: commandId, [MARKER]: run.key },
      workDirectory: folder,
      ...(run.cwd === undefined ? {} : { cwd: run.cwd }),
      stdin: io.stdin !== undefined,
      graceSeconds,
    };
  };

  const execute = async (run: Run, io: RunIo): Promise<StartOutcome> => {
    const launched = launcher.launch(toSpec(run, io), io);
    runs.set(run.key, launched);
    const stop = () => launched.stop();
    if (io.stop.aborted) stop();
    else io.stop.addEventListener('abort', stop, { once: true });
    io.onSignal((signal) => launched.signal(signal));
    const end = await launched.end;
    io.stop.removeEventListener('abort', stop);
    runs.delete(run.key);
    if (end.kind === 'helper-died') return { kind: 'lost', detail: 'The process that watched over the command died.' };
    if (end.kind === 'rejected') return { kind: 'rejected', fault: end };
    if (closed) return { kind: 'lost', detail: 'The server was shut down while the command ran.' };
    const { kind: _, ...exit } = end;
    return { kind: 'ended', exit: exit satisfies Exit };
  };

  return {
    name: 'local',
    features,

    async start(run, io) {
      if (closed) return { kind: 'rejected', fault: { detail: 'The server is shutting down.', retryable: true } };
      if (io.stop.aborted) return { kind: 'refused' };
      try {
        if (!(await io.redeem())) return { kind: 'refused' };
      } catch {
        // Whether it was redeemed or not: nothing was executed.
        return { kind: 'rejected', fault: { detail: 'The start ticket could not be redeemed.', retryable: true } };
      }
      return execute(run, io);
    },

    async observe({ key, worker }) {
      if (runs.has(key) || (await isOwnerAlive(worker))) return { kind: 'alive' };
      await killTrees([{ key }]);
      await removeWorkDirectory(folderOf(key));
      return { kind: 'gone' };
    },

    async cancel({ key }) {
      const run = runs.get(key);
      if (!run) return endTree({ key }, graceSeconds);
      run.stop();
      await run.end;
    },

    health: async () => (closed ? { healthy: false, detail: 'Shutting down.' } : { healthy: true }),

    async close() {
      closed = true;
      for (const run of runs.values()) run.stop();
      await Promise.all([...runs.values()].map(({ end }) => end));
      await launcher.close();
    },
  };
};
