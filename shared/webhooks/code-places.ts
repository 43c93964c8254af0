import { collectFindings } from '../policy/invocation.ts';
import { nameOf, type Reader, readInvocation } from '../policy/wrappers.ts';

/** Programs that run a text or a file that they are given, each with more arguments as its data. */
const INTERPRETERS =
  /^(sh|bash|rbash|dash|ash|zsh|ksh|mksh|fish|csh|tcsh|pwsh|powershell|cmd|rc|es|yash|hush|python|pypy|perl|ruby|node|nodejs|deno|bun|php|lua|luajit|tclsh|wish|expect|R|Rscript|julia|osascript|groovy|scala|elixir|erl|ghc|runghc|awk|gawk|mawk|nawk|sed)[0-9.]*(\.exe)?$/;
/** Of these nothing is data: they put their arguments together to a text for a shell, or read them in ways of their own. */
const RUN_TEXT =
  /^(ssh|su|runuser|eval|watch|parallel|script|flock|tmux|screen|xterm|at|batch|crontab|systemd-run|nsenter|unshare|chroot)(\.exe)?$/;
/** These take code behind an option. */
const QUERIES = /^(psql|mysql|mariadb|sqlcmd|mongosh|redis-cli|jshell|gdb|vi|vim|nvim|emacs|env)$/;
/** Behind these comes code, for whichever of the programs above. */
const CODE_OPTION =
  /^(-[A-Za-z]*[ceErpSx]|--(eval|exec|execute|expression|command|print|split-string)|-(Command|EncodedCommand)|\/[ckCK])$/;

/** An element of a template: text, or undefined where a value stands in it. */
type Element = string | undefined;

/**
 * Why a value of a template would be code, or name what is run; undefined when nothing of that is known. What other programs make of
 * their arguments nobody can know: this holds off what people really write, such as `sh -c "echo {{ … }}"`.
 */
export const whyCode = (argv: readonly Element[]): string | undefined => {
  for (let start = 0; start < argv.length; start++) {
    const program = nameOf(argv[start] ?? '');
    const isInterpreter = INTERPRETERS.test(program);
    if (RUN_TEXT.test(program) && argv.indexOf(undefined, start) >= 0) {
      return `${program} would run a value as code`;
    }
    if (!isInterpreter && !QUERIES.test(program)) continue;
    const own = isInterpreter ? firstOperand(argv, start) : undefined;
    const behind = codeBehindOption(argv, start);
    if ([own, behind].some((place) => place !== undefined && argv[place] === undefined)) {
      return `${program} would run a value as code`;
    }
    // What comes then is the code's data; the first of it is its name, which for shells is that of a shell.
    if (isInterpreter) start = behind === undefined ? (own ?? start) : behind + 1;
  }
  return whyProgram(argv);
};

/** The code or the file that an interpreter runs: what is no option, or an option with a value in it. */
const firstOperand = (argv: readonly Element[], start: number): number | undefined =>
  place(argv, start, (element) => !element?.startsWith('-'));

/** Further options may stand between the option and its code. */
const codeBehindOption = (argv: readonly Element[], start: number): number | undefined => {
  for (let option = start; ; ) {
    const next = place(argv, option, (element) => CODE_OPTION.test(element ?? ''));
    const code = next === undefined ? undefined : firstOperand(argv, next);
    if (next === undefined || code === undefined) return undefined;
    // An option's letter may mean something else: the next may be the one.
    if (argv[code] === undefined || place(argv, next, (element) => CODE_OPTION.test(element ?? '')) === undefined) {
      return code;
    }
    option = next;
  }
};

const place = (argv: readonly Element[], after: number, isIt: (element: Element) => boolean): number | undefined => {
  const found = argv.findIndex((element, index) => index > after && isIt(element));
  return found < 0 ? undefined : found;
};

/** Programs whose purpose is to run another, such as `env` and `timeout`: what cannot be told with values can be told without. */
const whyProgram = (argv: readonly Element[]): string | undefined => {
  const without = reasonsOf(argv.map((element) => element ?? 'x'));
  return reasonsOf(argv).find((reason) => !without.includes(reason));
};

const reasonsOf = (argv: readonly Element[]): readonly string[] => {
  const reader: Reader = { argv: (inner, into) => readInvocation(inner, into, reader), script: () => {} };
  return collectFindings((into) => reader.argv(argv, into)).unreadable;
};
