import { randomBytes } from 'node:crypto';
import type { Exit } from '../../domain/command.ts';
import { type AttemptKey, splitAttemptKey } from '../../domain/ids.ts';
import type { SessionShell } from '../../domain/sessions.ts';
import type { Shell, ShellOutcome, ShellScript, ShellSpec } from '../provider.ts';
import { BASE_ENVIRONMENT } from './base-environment.ts';
import type { LaunchSpec } from './frames.ts';
import type { Launched, LaunchedRun, Launcher } from './launcher.ts';
import { idle } from './machine-time.ts';
import { MARKER } from './process-table.ts';
import { makeScriptPipes, type ScriptFiles, type ScriptPipes } from './script-pipes.ts';
import type { WorkPlaces } from './work-places.ts';

/** Warm shells on this machine. */
export interface Shells {
  /** @throws Error in words for a person when it does not come up */
  open(spec: ShellSpec): Promise<Shell>;
  close(): Promise<void>;
}

interface ShellsOptions {
  readonly launcher: Launcher;
  readonly places: WorkPlaces;
  readonly graceSeconds: number;
}

const START_PATIENCE_MS = 10_000;
/** From SIGINT until the shell must be back. */
const INTERRUPT_PATIENCE_MS = 2_000;

/** How often SIGINT is sent within that time: a process that was just being started may not have heard the first. */
const INTERRUPT_AGAIN_MS = [300, 700] as const;

const ARGV: Readonly<Record<SessionShell, LaunchSpec['argv']>> = {
  '/bin/sh': ['/bin/sh', '-s'],
  bash: ['bash', '--norc', '--noprofile', '-s'],
};

/** What a shell is told around the line that executes a script. Short, as bash reads its input byte by byte. */
interface Ways {
  /** Once. */
  readonly begin: string;
  readonly after: string;
  readonly afterInterrupt: string;
}

/**
 * A script that is interrupted must be left at once: to go on with its next step would be worse than to end. No shell does that for
 * SIGINT by itself without ending, so each is made to by a trap, which is set anew for each script.
 *
 * dash: an error in the trap ends all up to the `command` in front of the script (POSIX, XCU 2.8.1 and `command`).
 * bash: a DEBUG trap that says 2 has each function and each file return (Bash manual, `shopt` extdebug).
 */
const WAYS = {
  dash: {
    begin:
      `__errand_begin() { __errand_busy=1; ` +
      `\\command trap '[ -z "$__errand_busy" ] || : "\${__errand_stop?interrupted}"' INT; }\n`,
    after: '__errand_busy=\n',
    afterInterrupt: '',
  },
  bash: {
    begin:
      `__errand_begin() { \\command trap 'shopt -s extdebug; set -T; ` +
      `\\command trap "[ \\\${#BASH_SOURCE[@]} -eq 0 ] || [ 1 -eq x ] 2>/dev/null" DEBUG' INT; }\n`,
    after: '',
    afterInterrupt: '\\command trap - DEBUG\nshopt -u extdebug\nset +T\n',
  },
} as const satisfies Record<string, Ways>;
/** What the first line of a bash says, whatever it is called by: 10. */
const FIRST_STATUS = `\${BASH_VERSION:+1}0`;

export const makeShells = (options: ShellsOptions): Shells => {
  const { launcher, places } = options;
  const shells = new Set<Shell>();
  let isClosed = false;
  return {
    async open(spec) {
      const pipes = await makeScriptPipes(places.pipesOf(spec.key, spec.isolation), {
        shared: spec.isolation === 'process' && launcher.can('ownUser'),
      });
      try {
        const shell = await openShell(spec, pipes, options, () => isClosed);
        shells.add(shell);
        void shell.ended.then(() => shells.delete(shell));
        return shell;
      } catch (error) {
        pipes.close();
        throw error;
      }
    },
    async close() {
      isClosed = true;
      await Promise.all([...shells].map((shell) => shell.end()));
    },
  };
};

const openShell = async (
  spec: ShellSpec,
  pipes: ScriptPipes,
  { launcher, places, graceSeconds }: ShellsOptions,
  isClosed: () => boolean,
): Promise<Shell> => {
  const lines = makeFeed();
  const statuses = makeStatuses();
  const launched = launcher.launch(toLaunchSpec(spec, places.folderOf(spec.key, spec.isolation), graceSeconds), {
    stdin: lines.read(),
    // Of the shell itself, not of its scripts: what it complains of, and its prompts, are nobody's.
    output: async (stream, bytes) => (stream === 'stdout' ? statuses.hear(bytes) : undefined),
  });
  let isOver = false;
  /** Until the output of the script that runs was taken. */
  let taken: Promise<unknown> = Promise.resolve();
  const gone = launched.end.then((how) => {
    isOver = true;
    lines.end();
    return how;
  });
  const cleared = gone.then(async (how) => {
    await taken;
    pipes.close();
    return how;
  });
  const stop = endOnce(launched, lines);

  launched.execute();
  const up = statuses.next(newName());
  lines.add(toLine(up.nonce, FIRST_STATUS));
  const first = await Promise.race([up.status, gone, idle(START_PATIENCE_MS)]);
  if (typeof first !== 'number') {
    stop();
    throw new Error(first ? whyNotUp(spec.shell, first) : `The shell ${spec.shell} did not come up in time.`);
  }

  const { begin, after, afterInterrupt } = first === 10 ? WAYS.bash : WAYS.dash;
  lines.add(`readonly __errand_at=${quoted(pipes.folder)}\n${begin}`);

  return {
    async run(script, io) {
      if (isOver) return notExecuted(NOT_THERE);
      let files: ScriptFiles | undefined;
      try {
        files = pipes.open(script, newName, io.output);
      } catch (error) {
        return notExecuted(`Its files could not be made: ${(error as Error).message}`);
      }
      if (!files) return notExecuted(HELD_UP);
      const { promise, resolve } = Promise.withResolvers<void>();
      taken = promise;
      const done = statuses.next(newName());
      const over = new AbortController();
      let isGivenUp = false;
      const interrupt = async (): Promise<void> => {
        for (const pauseMs of [...INTERRUPT_AGAIN_MS, INTERRUPT_PATIENCE_MS]) {
          launched.signal('SIGINT');
          await idle(pauseMs, over.signal);
          if (over.signal.aborted) return;
        }
        isGivenUp = true;
        stop();
      };
      io.stop.addEventListener('abort', interrupt, { once: true });
      io.onSignal((signal) => launched.signal(signal));
      lines.add(`${toLines(files, done.nonce, script.env)}${after}`);
      if (io.stop.aborted) void interrupt();
      const how = await Promise.race([done.status, gone]);
      over.abort();
      io.stop.removeEventListener('abort', interrupt);
      statuses.forget();
      if (io.stop.aborted) lines.add(afterInterrupt);
      await files.finish().finally(resolve);
      if (typeof how === 'number') return { kind: 'ended', exit: { exitCode: how, signal: null } };
      return toOutcome(how, { isGivenUp, wasClosed: isClosed() });
    },
    async end() {
      stop();
      await cleared;
    },
    ended: cleared.then((how) => ({ detail: howItEnded(how) })),
  };
};

const toLaunchSpec = ({ key, shell, env, cwd, isolation }: ShellSpec, folder: string, graceSeconds: number) => ({
  key,
  argv: ARGV[shell],
  env: { ...BASE_ENVIRONMENT, HOME: folder, ...env, [MARKER]: key, ERRAND_SESSION_ID: sessionOf(key) },
  workDirectory: folder,
  ...(cwd === undefined ? {} : { cwd }),
  stdin: true,
  graceSeconds,
  isolation: isolation === 'process' ? ('process' as const) : ('none' as const),
});

const sessionOf = (key: AttemptKey): string => splitAttemptKey(key).id;

/** Of a file, or what tells an end: nobody guesses it. */
const newName = (): string => randomBytes(12).toString('hex');

/**
 * The shell's own input and output are in no script's reach: while one runs they are at numbers that its children do not inherit, and
 * what tells its end is read by the shell only when the script is over.
 */
const toLines = (
  { script, stdin, stdout, stderr }: ScriptFiles,
  nonce: string,
  env: ShellScript['env'] = {},
): string => {
  // Of a command that is no special built-in, as which `command` has it, they hold until it is over (POSIX.1-2024, XCU 2.9.1).
  const given = Object.entries(env).map(([name, value]) => `${name}=${quoted(value)} `);
  const run = `${given.join('')}\\command . ${inFolder(script)} <${inFolder(stdin)} >${inFolder(stdout)} 2>${inFolder(stderr)}\n`;
  return `__errand_begin\n${run}${toLine(nonce, '$?')}`;
};

const inFolder = (name: string | undefined): string => (name === undefined ? '/dev/null' : `"$__errand_at/${name}"`);

const toLine = (nonce: string, status: string): string => `\\command echo "${nonce} ${status}"\n`;

const quoted = (path: string): string => `'${path.replaceAll("'", "'\\''")}'`;

/** As when a terminal is closed, and then as any command is stopped. */
const endOnce = (launched: LaunchedRun, lines: Feed) => {
  let isEnding = false;
  return (): void => {
    if (isEnding) return;
    isEnding = true;
    launched.signal('SIGHUP');
    lines.end();
    launched.stop();
  };
};

const notExecuted = (detail: string): ShellOutcome => ({
  kind: 'ended',
  exit: { exitCode: null, signal: null, detail: `${detail} Nothing was executed.` },
});

const NOT_THERE = 'The session’s shell is gone.';
const HELD_UP =
  'Background jobs of too many earlier scripts still hold their outputs. End some, or start them with >/dev/null 2>&1.';

const toOutcome = (
  how: Launched,
  { isGivenUp, wasClosed }: { isGivenUp: boolean; wasClosed: boolean },
): ShellOutcome => {
  if (how.kind === 'lost') return { kind: 'lost', detail: 'The process that watched over the session’s shell died.' };
  if (wasClosed) return { kind: 'lost', detail: 'The server was shut down while the command ran.' };
  if (how.kind !== 'ended') return notExecuted(NOT_THERE);
  const { kind: _, ...ended } = how;
  const detail = isGivenUp
    ? 'The shell did not come back when it was interrupted, so the session was ended.'
    : 'The session’s shell ended with this script.';
  const exit: Exit = { ...ended, detail: ended.detail ?? detail };
  return { kind: 'ended', exit };
};

const howItEnded = (how: Launched): string => {
  if (how.kind === 'lost') return 'The process that watched over its shell died.';
  if (how.kind !== 'ended') return 'Its shell was never executed.';
  const { exitCode, signal } = how;
  return signal === null ? `Its shell left with exit code ${exitCode}.` : `Its shell was ended by ${signal}.`;
};

const whyNotUp = (shell: string, how: Launched): string => {
  const detail = 'detail' in how ? how.detail : undefined;
  return `The shell ${shell} did not come up. ${detail ?? howItEnded(how)}`;
};

type Feed = ReturnType<typeof makeFeed>;

/** What the shell is told, as it reads it. */
const makeFeed = () => {
  const waiting: string[] = [];
  let isEnded = false;
  let wake = (): void => {};
  return {
    add(text: string): void {
      waiting.push(text);
      wake();
    },
    end(): void {
      isEnded = true;
      wake();
    },
    async *read(): AsyncGenerator<Uint8Array> {
      for (;;) {
        const text = waiting.shift();
        if (text !== undefined) yield Buffer.from(text, 'utf8');
        else if (isEnded) return;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    },
  };
};

/** Longer than what tells an end: the rest of such a line is nothing. */
const MOST_LINE_BYTES = 1_024;

/** Hears how scripts ended. Whatever else comes, such as what a prompt says, is nothing. */
const makeStatuses = () => {
  let awaited: { readonly nonce: string; readonly resolve: (status: number) => void } | undefined;
  let rest = '';
  return {
    next(nonce: string) {
      const { promise: status, resolve } = Promise.withResolvers<number>();
      awaited = { nonce, resolve };
      return { nonce, status };
    },
    forget(): void {
      awaited = undefined;
    },
    hear(bytes: Uint8Array): void {
      const lines = (rest + Buffer.from(bytes).toString('latin1')).split('\n');
      rest = (lines.pop() ?? '').slice(-MOST_LINE_BYTES);
      for (const line of lines) {
        const [, nonce, status] = /^([0-9a-f]{24}) (\d{1,3})$/.exec(line) ?? [];
        if (nonce !== undefined && nonce === awaited?.nonce) awaited.resolve(Number(status));
      }
    },
  };
};
