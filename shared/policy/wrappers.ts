import type { Argument, Findings } from './invocation.ts';
import { decidesWhatRuns, setsVariable } from './variables.ts';

/** Reads text for a shell, or a line of arguments, further in. Given by who reads, as each needs the other. */
export interface Reader {
  readonly argv: (argv: readonly Argument[], into: Findings) => void;
  /** By the shell that it stands in, where none is named. */
  readonly script: (text: string, shell: string | undefined, into: Findings) => void;
}

type Wrapper = (args: readonly Argument[], into: Findings, read: Reader) => void;

/** A program by its name, wherever it lies. */
export const nameOf = (program: string): string => program.slice(program.lastIndexOf('/') + 1);

/**
 * Notes a line of arguments: its program, and what this runs in turn where it is one whose purpose is to run another. A program that can
 * be talked into it (`git`, `vim`, `python`) is none of these: who allows it allows all that it can do.
 */
export const readInvocation = (argv: readonly Argument[], into: Findings, read: Reader): void => {
  const [program, ...args] = argv;
  if (program === undefined) into.unreadable('the name of a program is known only when it runs');
  if (program === undefined || program === '') return;
  into.found({ program, args });
  const wrapper = WRAPPERS[nameOf(program)];
  if (wrapper) into.within(() => wrapper(args, into, read));
};

interface Options {
  /** With a value, in the next argument or joined. */
  readonly valued?: readonly string[];
  readonly plain?: readonly string[];
  /** How many arguments from this one on are passed over. */
  readonly skip?: (argument: string, next: Argument, into: Findings) => number;
  /** So many arguments stand before the program. */
  readonly operands?: number;
}

/** Where the inner program begins, or undefined with a reason noted: an option that is not known may change what is run. */
const skipOptions = (name: string, args: readonly Argument[], into: Findings, options: Options): number | undefined => {
  const { valued = [], plain = [], skip = () => 0, operands = 0 } = options;
  const unknown = (what: string): undefined => {
    into.unreadable(`${name} is called with ${what}, so what it runs cannot be told`);
  };
  for (let i = 0; i < args.length; i++) {
    const argument = args[i];
    if (argument === undefined) return unknown('an option that is known only when it runs');
    const skipped = skip(argument, args[i + 1], into);
    i += Math.max(0, skipped - 1);
    if (skipped > 0 || plain.includes(argument)) continue;
    if (argument === '--') return i + 1 + operands;
    if (!argument.startsWith('-') || argument === '-') return i + operands;
    if (valued.includes(argument)) {
      i++;
      continue;
    }
    const isJoined = valued.some((one) =>
      one.startsWith('--') ? argument.startsWith(`${one}=`) : argument.startsWith(one) && argument.length > one.length,
    );
    if (!isJoined) return unknown(`the option ${argument.slice(0, 40)}`);
  }
  return args.length;
};

const runsTheRest =
  (name: string, options: Options = {}): Wrapper =>
  (args, into, read) => {
    const at = skipOptions(name, args, into, options);
    if (at !== undefined && at < args.length) read.argv(args.slice(at), into);
  };

/** `NAME=value` before the program, as env and sudo take it. */
const skipAssignment = (argument: string, _next: Argument, into: Findings): number => {
  const [, name] = /^([^=-][^=]*)=/.exec(argument) ?? [];
  if (name === undefined) return 0;
  if (decidesWhatRuns(name)) into.unreadable(setsVariable(name));
  return 1;
};

/** What runs something that cannot be told from its arguments. */
const runsAnything =
  (how: string): Wrapper =>
  (_args, into) =>
    into.unreadable(how);

const shell =
  (name: string): Wrapper =>
  (args, into, read) => {
    for (let i = 0; i < args.length; i++) {
      const argument = args[i];
      if (argument === undefined) break;
      if (/^[-+][aefhumnvxC]*o$/.test(argument)) {
        i++;
      } else if (/^-[aefhumnvxC]*c[aefhumnvxC]*$/.test(argument)) {
        const isEnd = args[i + 1] === '--';
        const text = args[isEnd ? i + 2 : i + 1];
        // Further options may come before the text.
        if (text === undefined || (!isEnd && /^[-+]/.test(text))) break;
        return read.script(text, name, into);
      } else if (!/^[-+][aefhumnvxC]+$/.test(argument) && argument !== '--norc' && argument !== '--noprofile') {
        break;
      }
    }
    into.unreadable(`${name} runs a file or its input`);
  };

/** Arguments with `{}` for what was found, or ended by what comes in. */
const withPlaces = (argv: readonly Argument[], place: string): readonly Argument[] =>
  argv.map((argument) => (argument?.includes(place) ? undefined : argument));

const xargs: Wrapper = (args, into, read) => {
  let place: string | undefined;
  const options = {
    valued: ['-n', '-L', '-P', '-s', '-d', '-E', '-a', '--max-args', '--max-procs', '--delimiter', '--arg-file'],
    plain: ['-0', '--null', '-r', '--no-run-if-empty', '-t', '--verbose', '-x', '--exit'],
    skip: (argument: string, next: Argument) => {
      const [, joined] = /^-I(.*)$/.exec(argument) ?? [];
      if (joined === undefined) return 0;
      place = joined === '' ? next : joined;
      return joined === '' ? 2 : 1;
    },
  };
  const begin = skipOptions('xargs', args, into, options);
  if (begin === undefined) return;
  const inner = args.slice(begin);
  if (inner.length === 0) return read.argv(['echo', undefined], into);
  read.argv(place === undefined ? [...inner, undefined] : withPlaces(inner, place), into);
};

const FIND_RUNS = new Set(['-exec', '-execdir', '-ok', '-okdir']);

const find: Wrapper = (args, into, read) => {
  for (let i = 0; i < args.length; i++) {
    const argument = args[i];
    if (argument === undefined) into.unreadable('find is given an argument that is known only when it runs');
    if (argument === undefined || !FIND_RUNS.has(argument)) continue;
    const end = args.findIndex((one, at) => at > i && (one === ';' || (one === '+' && args[at - 1] === '{}')));
    read.argv(withPlaces(args.slice(i + 1, end < 0 ? args.length : end), '{}'), into);
    if (end < 0) return;
    i = end;
  }
};

const env = runsTheRest('env', {
  valued: ['-u', '--unset', '-C', '--chdir'],
  plain: ['-i', '-', '--ignore-environment', '-0', '--null', '-v', '--debug'],
  skip: skipAssignment,
});
const time = runsTheRest('time', { valued: ['-f', '--format', '-o', '--output'], plain: ['-p', '-a', '-v', '-q'] });
const asOther: Options = {
  valued: ['-u', '--user', '-g', '--group', '-h', '-p', '-C'],
  plain: ['-n', '-E', '-H', '-k', '-S', '-b', '-A', '--non-interactive', '--preserve-env'],
  skip: skipAssignment,
};

/** Programs whose purpose is to run another, by name. */
const WRAPPERS: Readonly<Record<string, Wrapper>> = {
  __proto__: null as never,
  env,
  nice: runsTheRest('nice', { valued: ['-n', '--adjustment'], skip: (argument) => (/^-\d+$/.test(argument) ? 1 : 0) }),
  nohup: runsTheRest('nohup'),
  setsid: runsTheRest('setsid', { plain: ['-c', '-f', '-w', '--ctty', '--fork', '--wait'] }),
  stdbuf: runsTheRest('stdbuf', { valued: ['-i', '-o', '-e', '--input', '--output', '--error'] }),
  timeout: runsTheRest('timeout', {
    valued: ['-k', '--kill-after', '-s', '--signal'],
    plain: ['--preserve-status', '--foreground', '-v', '--verbose'],
    operands: 1,
  }),
  time,
  ionice: runsTheRest('ionice', { valued: ['-c', '-n', '--class', '--classdata'], plain: ['-t', '--ignore'] }),
  chrt: runsTheRest('chrt', { plain: ['-b', '-f', '-i', '-o', '-r'], operands: 1 }),
  taskset: runsTheRest('taskset', { plain: ['-c', '--cpu-list'], operands: 1 }),
  chroot: runsAnything('chroot runs programs of another root'),
  unshare: runsAnything('unshare runs a program among other namespaces'),
  nsenter: runsAnything('nsenter runs a program among other namespaces'),
  sudo: runsTheRest('sudo', asOther),
  doas: runsTheRest('doas', asOther),
  su: runsAnything('su runs a shell'),
  runuser: runsAnything('runuser runs a shell'),
  busybox: runsTheRest('busybox'),
  toybox: runsTheRest('toybox'),
  xargs,
  find,
  parallel: runsAnything('parallel runs what comes in'),
  flock: runsAnything('flock runs what is behind a lock'),
  watch: runsAnything('watch runs text for a shell'),
  script: runsAnything('script runs a shell'),
  strace: runsAnything('strace runs another program'),
  ltrace: runsAnything('ltrace runs another program'),
  gdb: runsAnything('gdb runs another program'),
  at: runsAnything('at runs what comes in'),
  batch: runsAnything('batch runs what comes in'),
  crontab: runsAnything('crontab has something run later'),
  setpriv: runsAnything('setpriv runs another program'),
  capsh: runsAnything('capsh runs a shell'),
  'systemd-run': runsAnything('systemd-run has something run by systemd'),
  'start-stop-daemon': runsAnything('start-stop-daemon runs another program'),
  'ld.so': runsAnything('a loader runs the file that it is given'),
  sh: shell('sh'),
  dash: shell('dash'),
  ash: shell('ash'),
  bash: shell('bash'),
  rbash: shell('bash'),
  ...Object.fromEntries(
    ['zsh', 'ksh', 'mksh', 'fish', 'csh', 'tcsh', 'pwsh', 'rc', 'es', 'yash', 'hush'].map((name) => [
      name,
      runsAnything(`${name} is a shell whose text is not read here`),
    ]),
  ),
};

/** Programs that run whatever their input says. Who allows one by name alone allows everything. */
export const isInterpreter = (name: string): boolean =>
  /^(python|pypy|perl|ruby|node|nodejs|deno|bun|php|lua|tclsh|expect|java|jshell|awk|gawk|mawk|nawk|sed|ed|vi|vim|nvim|emacs|ssh|make|gmake|cmake|ninja|npm|npx|yarn|pnpm|pip|cargo|go|git|docker|podman|kubectl|gcc|cc|tar|rsync|zip|less|more|man|mysql|psql|sqlite3|R|Rscript|julia|ghc|runghc|osascript)[0-9.]*$/.test(
    name,
  );
