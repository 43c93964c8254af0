import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import type { LauncherKind } from '../../domain/command.ts';
import { type AttemptKey, splitAttemptKey } from '../../domain/ids.ts';
import { DEFAULT_TERM } from '../../domain/terminal.ts';
import { type Log, silentLog } from '../../telemetry/log.ts';
import type { Health, Provider, ProviderFeatures, Run, RunIo, StartOutcome } from '../provider.ts';
import { BASE_ENVIRONMENT } from './base-environment.ts';
import { featuresOf } from './features.ts';
import type { LaunchSpec } from './frames.ts';
import { type Launched, type LaunchedRun, openLauncher } from './launcher.ts';
import { MARKER } from './process-table.ts';
import { endTree, killTree, makeTree } from './process-tree.ts';
import { DEFAULT_SANDBOX, SANDBOX_FOLDER, type SandboxConfig, sandboxArgs } from './sandbox.ts';
import { makeShells } from './shells.ts';
import { removeWorkDirectory } from './work-directory.ts';
import { makeWorkPlaces } from './work-places.ts';

export interface LocalOptions {
  /** Each command gets a folder of its own in here, named by its attempt; several processes may use it at once. */
  readonly workDirectory: string;
  /** Whether a worker, by the name that is in its attempts, is alive. */
  readonly isOwnerAlive: (worker: string) => Promise<boolean>;
  /** Processes that spawn commands. @default 2 */
  readonly helpers?: number;
  /** Between TERM and KILL. @default 5 */
  readonly graceSeconds?: number;
  /** What starts commands. @default the fastest there is */
  readonly launcher?: LauncherKind;
  /** What sandboxes are. @default DEFAULT_SANDBOX */
  readonly sandbox?: SandboxConfig;
  /**
   * Whether to find out if this machine gives isolation `sandbox`, and say so in `features`: about 10 ms. Without it
   * the level is not offered, but a run of it is tried. @default true
   */
  readonly trySandbox?: boolean;
  /** @default none is kept */
  readonly log?: Log;
}

/** How long a look for a dead worker's run waits for what it killed to be gone. */
const OBSERVE_PATIENCE_MS = 5_000;

/**
 * Runs commands on this machine: as the user of this process and without walls, or behind those of isolation `process` or `sandbox`.
 * @throws Error on a platform without POSIX processes
 */
export const local = async (options: LocalOptions): Promise<Provider> => {
  if (process.platform === 'win32') {
    throw new Error('Commands cannot be run on Windows itself. Run Errand in WSL, or use a target elsewhere.');
  }
  const { workDirectory, isOwnerAlive, helpers = 2, graceSeconds = 5, log = silentLog } = options;
  const { sandbox = DEFAULT_SANDBOX, trySandbox = true } = options;
  const launcher = await openLauncher({
    ...{ most: helpers, kind: options.launcher, log },
    ...{ sandboxArgs: sandboxArgs(sandbox), trySandbox },
  });
  const features = featuresOf(launcher, sandbox);
  const runs = new Map<AttemptKey, LaunchedRun>();
  const places = makeWorkPlaces(workDirectory, { ownUser: launcher.can('ownUser') });
  const shells = makeShells({ launcher, places, graceSeconds });
  let closed = false;

  /** The folder is made while the ticket is redeemed; the command executes after both. */
  const redeemAndExecute = async (launched: LaunchedRun, io: RunIo): Promise<StartOutcome> => {
    // Whether a redemption that failed was stored or not: nothing was executed.
    const redeemed = await io.redeem().catch(() => undefined);
    if (!redeemed) {
      launched.stop();
      await launched.end;
      if (redeemed === false) return { kind: 'refused' };
      return rejected('The start ticket could not be redeemed.');
    }
    io.onSignal((signal) => launched.signal(signal));
    io.onResize?.((size) => launched.resize(size));
    launched.execute();
    return toOutcome(await launched.end, closed);
  };

  return {
    name: 'local',
    features,

    async start(run, io) {
      if (closed) return rejected('The server is shutting down.');
      // A second start with the same key is the same run.
      if (io.stop.aborted || runs.has(run.key)) return { kind: 'refused' };
      const missing = missingFor(run, features, trySandbox);
      if (missing) return { kind: 'rejected', fault: { detail: missing, retryable: false } };
      let folder: string;
      try {
        folder = places.folderOf(run.key, run.isolation);
      } catch (error) {
        return rejected(`The work folder could not be made: ${(error as Error).message}`);
      }
      const launched = launcher.launch(toSpec(run, io, { folder, graceSeconds }), io);
      runs.set(run.key, launched);
      const stop = () => launched.stop();
      io.stop.addEventListener('abort', stop, { once: true });
      try {
        return await redeemAndExecute(launched, io);
      } finally {
        io.stop.removeEventListener('abort', stop);
        runs.delete(run.key);
      }
    },

    async openShell(spec) {
      if (closed) throw new Error('The server is shutting down.');
      return shells.open(spec);
    },

    async observe({ key, worker }) {
      if (runs.has(key) || (await isOwnerAlive(worker))) return { kind: 'alive' };
      const left = await killTree(makeTree(key), OBSERVE_PATIENCE_MS);
      if (left.length > 0) return { kind: 'alive' };
      await Promise.all(places.foldersOf(key).map(removeWorkDirectory));
      return { kind: 'gone' };
    },

    async cancel({ key }) {
      const run = runs.get(key);
      run?.stop();
      await (run ? run.end : endTree(makeTree(key), graceSeconds));
    },

    async health() {
      if (closed) return { healthy: false, detail: 'Shutting down.' };
      if (!launcher.canStartHelpers()) return { healthy: false, detail: 'Its helper processes cannot be started.' };
      return folderHealth(workDirectory);
    },

    async close() {
      closed = true;
      for (const run of runs.values()) run.stop();
      await Promise.all([...[...runs.values()].map(({ end }) => end), shells.close()]);
      await launcher.close();
    },
  };
};

/** What was promised at submission may be gone since, such as the native launcher: never less in silence. */
const missingFor = (run: Run, features: ProviderFeatures, wasTried: boolean): string | undefined => {
  const { isolation, resourceLimits, isolationLacking, terminals = [], terminalsLacking = '' } = features;
  const isKnown = run.isolation !== 'sandbox' || wasTried || features.launcher !== 'native';
  if (isKnown && !isolation.includes(run.isolation)) {
    return `Isolation ${run.isolation} cannot be given here any more. ${isolationLacking?.[run.isolation] ?? ''}`.trim();
  }
  // Where sandboxes were not tried, whoever can give terminals gives them there too.
  const hasTerminal = terminals.includes(run.isolation) || (!wasTried && terminals.length > 0);
  if (run.terminal && !hasTerminal) return `A terminal cannot be given here any more. ${terminalsLacking}`.trim();
  const isLimited = run.memoryMiB !== undefined || run.cpu !== undefined;
  return isLimited && !resourceLimits && run.isolation !== 'sandbox'
    ? 'Memory and processor cannot be limited here any more.'
    : undefined;
};

const toSpec = (
  run: Run,
  io: RunIo,
  { folder, graceSeconds }: { folder: string; graceSeconds: number },
): LaunchSpec => {
  const ours = { [MARKER]: run.key, ERRAND_COMMAND_ID: splitAttemptKey(run.key).id };
  return {
    key: run.key,
    argv: run.argv,
    env: {
      ...BASE_ENVIRONMENT,
      ...(run.terminal ? { TERM: DEFAULT_TERM } : {}),
      HOME: run.isolation === 'sandbox' ? SANDBOX_FOLDER : folder,
      ...run.env,
      ...ours,
    },
    workDirectory: folder,
    ...(run.cwd === undefined ? {} : { cwd: run.cwd }),
    stdin: io.stdin !== undefined,
    ...(run.terminal ? { terminal: run.terminal } : {}),
    graceSeconds,
    isolation: run.isolation === 'process' || run.isolation === 'sandbox' ? run.isolation : 'none',
    ...(run.memoryMiB === undefined ? {} : { memoryMiB: run.memoryMiB }),
    ...(run.cpu === undefined ? {} : { cpu: run.cpu }),
  };
};

const toOutcome = (end: Launched, wasClosed: boolean): StartOutcome => {
  switch (end.kind) {
    case 'rejected':
      return { kind: 'rejected', fault: { detail: end.detail, retryable: end.retryable } };
    case 'lost':
      return { kind: 'lost', detail: 'The process that watched over the command died.' };
    case 'dropped':
      if (wasClosed) return rejected('The server is shutting down.');
      return {
        kind: 'ended',
        exit: { exitCode: null, signal: null, detail: 'It was stopped before it was executed.' },
      };
    case 'ended': {
      if (wasClosed) return { kind: 'lost', detail: 'The server was shut down while the command ran.' };
      const { kind: _, ...exit } = end;
      return { kind: 'ended', exit };
    }
  }
};

const rejected = (detail: string): StartOutcome => ({ kind: 'rejected', fault: { detail, retryable: true } });

const folderHealth = async (folder: string): Promise<Health> => {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await access(folder, constants.W_OK | constants.X_OK);
    return { healthy: true };
  } catch (error) {
    return { healthy: false, detail: `The folder ${folder} cannot be used: ${(error as Error).message}` };
  }
};
