import type { LauncherKind } from '../../domain/command.ts';
import type { Log } from '../../telemetry/log.ts';
import { ABILITIES, type LaunchSpec } from './frames.ts';
import { type Helper, startHelper } from './helper-process.ts';
import { type HelperProgram, nativeProgram, nodeProgram } from './helper-programs.ts';
import type { LaunchedRun, LaunchIo } from './launched-run.ts';

export type { Launched, LaunchedRun, LaunchIo } from './launched-run.ts';

/** Has commands executed by helper processes, so that the server itself never forks. */
export interface Launcher {
  readonly kind: LauncherKind;
  /** Whether its helpers can do this on this machine. */
  can(ability: keyof typeof ABILITIES): boolean;
  /** Why there is no isolation `sandbox`, for a person; undefined where there is, and where nobody asked. */
  readonly noSandbox: string | undefined;
  launch(spec: LaunchSpec, io: LaunchIo): LaunchedRun;
  /** Whether the last helper that was started came up. */
  canStartHelpers(): boolean;
  /** Lets the helpers go; what still runs is killed. */
  close(): Promise<void>;
}

interface LauncherOptions {
  readonly most: number;
  /** @default the native one where it was built and works, else Node's */
  readonly kind?: LauncherKind | undefined;
  /** @default the one that was built, if any */
  readonly native?: HelperProgram | undefined;
  /** What sandboxes are to be, as arguments of the native helper. @default its own */
  readonly sandboxArgs?: readonly string[] | undefined;
  /** Whether to find out if this machine gives isolation `sandbox`, in earnest: about 10 ms. @default false */
  readonly trySandbox?: boolean | undefined;
  readonly log: Log;
}

/**
 * Starts the first helper at once, so that it is ready when the first command comes, and others up to `most` when all
 * are busy. One that dies is replaced by the next launch.
 * @throws Error when `kind` is asked for and not there
 */
export const openLauncher = async (options: LauncherOptions): Promise<Launcher> => {
  const { most, kind, log, sandboxArgs = [], trySandbox = false } = options;
  const { native = nativeProgram(sandboxArgs) } = options;
  if (native && kind !== 'node') {
    const tried = trySandbox ? { ...native, args: [...native.args, TRY_SANDBOX] } : native;
    const pool = makePool({ most, log, first: tried, program: native });
    // It takes a few milliseconds, after which it is known what this machine can give.
    const ready = await pool.first.ready;
    if (ready !== undefined) {
      const { abilities, noSandbox } = ready;
      return {
        ...pool.launcher,
        can: (ability) => (abilities & ABILITIES[ability]) !== 0,
        noSandbox: noSandbox === '' ? undefined : noSandbox,
      };
    }
    log.warn('The native launcher does not work here; its commands are started by Node, which is slower', {
      file: native.file,
    });
    await pool.launcher.close();
  }
  if (kind === 'native')
    throw new Error('The native launcher was not built, or does not work here: npm run build:launcher');
  // Able to nothing beyond isolation `none`, and slow to come up: it is not waited for.
  const program = nodeProgram();
  const { launcher } = makePool({ most, log, first: program, program });
  return { ...launcher, can: () => false, noSandbox: NEEDS_NATIVE };
};

const TRY_SANDBOX = '--try-sandbox';
const NEEDS_NATIVE =
  'no-native-launcher: it needs the launcher in C. Install gcc and the C library’s headers (apt-get install gcc libc6-dev), then run npm run build:launcher.';

interface PoolOptions {
  readonly most: number;
  readonly log: Log;
  /** The one that is started at once. */
  readonly first: HelperProgram;
  readonly program: HelperProgram;
}

const makePool = ({ most, log, first: firstProgram, program }: PoolOptions) => {
  const helpers = new Set<Helper>();
  let canStart = true;
  const add = (started = program): Helper => {
    const onGone = (wasReady: boolean) => {
      helpers.delete(helper);
      canStart = wasReady;
    };
    const helper = startHelper({ program: started, onGone, log });
    helpers.add(helper);
    return helper;
  };
  const leastBusy = (): Helper => {
    const [first, ...others] = helpers;
    if (!first) return add();
    const best = others.reduce((a, b) => (b.load() < a.load() ? b : a), first);
    return best.load() > 0 && helpers.size < most ? add() : best;
  };
  const first = add(firstProgram);
  const launcher: Omit<Launcher, 'can' | 'noSandbox'> = {
    kind: program.kind,
    launch: (spec, io) => leastBusy().launch(spec, io),
    canStartHelpers: () => canStart,
    async close() {
      await Promise.all([...helpers].map((helper) => helper.close()));
    },
  };
  return { first, launcher };
};
