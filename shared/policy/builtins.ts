import type { Argument, Findings } from './invocation.ts';
import { decidesWhatRuns, isVariableName, setsVariable } from './variables.ts';
import { type Reader, readInvocation } from './wrappers.ts';

/**
 * What the shell does by itself, as POSIX and bash have it. A check notes what could make it more than that. A name that is not here is a program's,
 * also where some shell has it: `kill` and `command -p` reach beyond the shell.
 */
type Check = (args: readonly Argument[], into: Findings, read: Reader) => void;

const harmless: Check = () => {};
const never =
  (name: string): Check =>
  (_args, into) =>
    into.unreadable(`${name} may change what a later line runs`);

/** Names of variables that it sets; behind the options that are good. */
const setsNames =
  (name: string, options: RegExp, valued: readonly string[] = []): Check =>
  (args, into) => {
    for (let i = 0; i < args.length; i++) {
      const argument = args[i];
      if (argument === undefined) return into.unreadable(`${name} sets a variable that is known only when it runs`);
      if (valued.includes(argument)) {
        if (args[++i] === undefined) return into.unreadable(`${name} has an option that is known only when it runs`);
      } else if (argument !== '--' && !options.test(argument)) {
        checkName(name, argument.replace(/\+?=.*$/s, ''), into);
      }
    }
  };

/** A name is more than a name where it has an index: bash runs commands that stand in one. */
const checkName = (builtin: string, variable: string, into: Findings): void => {
  if (!isVariableName(variable))
    into.unreadable(`${builtin} is given ${variable.slice(0, 40)}, which is no variable’s name`);
  else if (decidesWhatRuns(variable)) into.unreadable(setsVariable(variable));
};

const declaration = (name: string): Check => setsNames(name, /^[-+][rxgpaAluf]+$/);

const SET_OPTIONS = new Set([
  'errexit',
  'nounset',
  'pipefail',
  'noglob',
  'xtrace',
  'noclobber',
  'verbose',
  'allexport',
]);

const set: Check = (args, into) => {
  for (let i = 0; i < args.length; i++) {
    const argument = args[i];
    if (argument === '--' || argument === '-') return;
    if (argument === undefined) return into.unreadable('set is given options that are known only when it runs');
    if (!/^[-+]/.test(argument)) return;
    if (!/^[-+][euxfnvaCbo]+$/.test(argument)) return into.unreadable(`set is given ${argument.slice(0, 40)}`);
    if (argument.includes('o')) {
      const option = args[++i] ?? '';
      if (!SET_OPTIONS.has(option)) return into.unreadable(`set -o is given ${option.slice(0, 40)}`);
    }
  }
};

const evaluate: Check = (args, into, read) => {
  if (args.includes(undefined)) return into.unreadable('eval runs text that is known only when it runs');
  read.script((args[0] === '--' ? args.slice(1) : args).join(' '), undefined, into);
};

const trap: Check = (args, into, read) => {
  const [action, ...signals] = args[0] === '--' ? args.slice(1) : args;
  if (args.length === 0 || action === '-p' || action === '-l') return;
  if (action === undefined) return into.unreadable('trap runs text that is known only when it runs');
  if (signals.length > 0 && action !== '-') read.script(action, undefined, into);
};

/** `command` and `exec` do what follows, as a program or a builtin. */
const prefix =
  (name: string, options: RegExp, valued: readonly string[], withBuiltins: boolean): Check =>
  (args, into, read) => {
    let i = 0;
    for (; i < args.length; i++) {
      const argument = args[i];
      if (argument === undefined || !argument.startsWith('-')) break;
      if (argument === '--') {
        i++;
        break;
      }
      if (/^-[vV]+$/.test(argument) && name === 'command') return;
      if (valued.includes(argument)) i++;
      else if (!options.test(argument)) return into.unreadable(`${name} is called with ${argument.slice(0, 40)}`);
    }
    const rest = args.slice(i);
    if (rest.length === 0) return;
    if (withBuiltins) readCall(rest, into, read);
    else readInvocation(rest, into, read);
  };

const TEST_BINARY = new Set(['=', '==', '!=', '<', '>', '-eq', '-ne', '-lt', '-le', '-gt', '-ge', '-nt', '-ot', '-ef']);

/**
 * `[` in forms that mean one thing whatever their variables hold: bash's `-v` runs commands that stand in a name's index, so no variable may turn
 * out to be an operator. That none of them is several words, its reader sees to.
 */
const test: Check = (args, into) => {
  const inner = args.at(-1) === ']' ? args.slice(0, -1) : args;
  const words = inner[0] === '!' ? inner.slice(1) : inner;
  const [first, second] = words;
  const isGood =
    words.length <= 1 ||
    (words.length === 2 && first !== undefined && /^-[a-uw-zA-Z]$/.test(first) && first !== '-R') ||
    (words.length === 3 && second !== undefined && TEST_BINARY.has(second));
  const isLiteral = words.every((word) => word !== undefined && word !== '-v' && word !== '-R');
  if (!isGood && !isLiteral) into.unreadable('a test has operators that are known only when it runs');
};

const printf: Check = (args, into) => {
  const [format] = args;
  if (format === undefined && args.length > 0)
    into.unreadable('printf may set a variable that is known only when it runs');
  if (format?.startsWith('-v')) into.unreadable('printf -v sets a variable');
};

const BUILTINS: Readonly<Record<string, Check>> = {
  __proto__: null as never,
  ...Object.fromEntries(
    [
      ':',
      'true',
      'false',
      'echo',
      'cd',
      'pwd',
      'exit',
      'return',
      'break',
      'continue',
      'shift',
      'times',
      'umask',
      'ulimit',
    ]
      .concat(['type', 'jobs', 'fg', 'bg', 'disown', 'dirs', 'pushd', 'popd', 'caller', 'help'])
      .map((name) => [name, harmless]),
  ),
  ...Object.fromEntries(['export', 'readonly', 'local', 'declare', 'typeset'].map((name) => [name, declaration(name)])),
  ...Object.fromEntries(
    ['.', 'source', 'alias', 'unalias', 'hash', 'enable', 'shopt', 'let', 'mapfile', 'readarray', 'bind', 'complete']
      .concat(['compgen', 'compopt', 'fc', 'history', 'coproc', 'suspend', 'logout'])
      .map((name) => [name, never(name)]),
  ),
  unset: setsNames('unset', /^-[fv]$/),
  read: setsNames('read', /^-[ers]+$/, ['-d', '-n', '-N', '-p', '-t', '-u']),
  getopts: (args, into, read) => setsNames('getopts', /^$/)(args.slice(1, 2), into, read),
  wait: (args, into) => {
    if (args.some((argument) => argument?.startsWith('-p'))) into.unreadable('wait -p sets a variable');
  },
  set,
  trap,
  printf,
  test,
  '[': test,
  eval: evaluate,
  exec: prefix('exec', /^-[cl]+$/, ['-a'], false),
  command: prefix('command', /^-p$/, [], true),
  builtin: prefix('builtin', /^$/, [], true),
};

/** Notes what a line of a script calls: a builtin of the shell, or a program. */
export const readCall = (argv: readonly Argument[], into: Findings, read: Reader): void => {
  const [name, ...args] = argv;
  const check = name === undefined ? undefined : BUILTINS[name];
  if (name === undefined || !check) {
    readInvocation(argv, into, read);
  } else {
    into.found({ program: name, args, builtin: true });
    into.within(() => check(args, into, read));
  }
};
