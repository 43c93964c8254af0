import { forEachChild, parse, type Redirect, type SyntaxNode, type Word, type WordPart } from 'unbash';
import { readCall } from './builtins.ts';
import type { Argument, Findings } from './invocation.ts';
import { decidesWhatRuns, setsVariable } from './variables.ts';
import { nameOf, type Reader } from './wrappers.ts';

/** Shells that read what POSIX says as POSIX says it. Which of them `sh` is, nobody can tell from here. */
const SHELLS = new Set(['sh', 'dash', 'ash', 'bash']);
const SYSTEM_FOLDERS = /^(?:\/usr(?:\/local)?)?\/s?bin\/[^/]+$/;

/**
 * Notes what a script runs. Whatever does not mean the same in all shells that it may be run by, or depends on what is known only when it runs, is
 * noted as unreadable: a reader that errs must err on that side.
 */
export const readScript = (text: string, shell: string, into: Findings, readers: Omit<Reader, 'script'>): void => {
  const name = nameOf(shell);
  const isReadHere = SHELLS.has(name) && (!shell.includes('/') || SYSTEM_FOLDERS.test(shell));
  if (!isReadHere) into.unreadable(`the text is for ${shell.slice(0, 80)}, which is not read here`);
  else if (CONTROL_CHARACTERS.test(text)) into.unreadable('the script has control characters');
  else if (isTooDeep(text))
    into.unreadable(`the script has more than ${MOST_OPENINGS} parentheses, backquotes and here-documents`);
  else readText(text, shell, into, readers);
};

/** What shells make of these differs, or is not to be seen by who approves it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL_CHARACTERS = /[\x00-\x08\x0b-\x1f\x7f]/;

/** What opens within it costs a parser more than its length: whoever sends scripts must not hold others up. */
const MOST_OPENINGS = 500;
const isTooDeep = (text: string): boolean => {
  let openings = 0;
  for (const _ of text.matchAll(/\(|`|<</g)) if (++openings > MOST_OPENINGS) return true;
  return false;
};

const readText = (text: string, shell: string, into: Findings, readers: Omit<Reader, 'script'>): void => {
  const isBash = nameOf(shell) === 'bash';
  const read: Reader = {
    ...readers,
    script: (inner, innerShell, findings) => readScript(inner, innerShell ?? shell, findings, readers),
  };
  const visit = (node: SyntaxNode, source: string): void => {
    const own = node.type === 'Script' ? (node.source ?? source) : source;
    const fault = faultOf(node, own, isBash);
    if (fault !== undefined) into.unreadable(fault);
    if (node.type === 'Command') readLine(node, into, read);
    if (node.type === 'Redirect') readRedirect(node, into);
    forEachChild(node, (child) => visit(child, own));
  };
  try {
    visit(parse(text), text);
  } catch (error) {
    // The parser goes down as deep as the text does.
    if (!(error instanceof RangeError)) throw error;
    into.unreadable('the script is nested too deep');
  }
};

const readLine = (node: SyntaxNode & { readonly type: 'Command' }, into: Findings, read: Reader): void => {
  if (!node.name) return;
  const program = literalOf(node.name);
  const args = node.args.map((argument): Argument => {
    if (argument.type === 'Word') return literalOf(argument);
    const value = argument.value.type === 'Word' ? literalOf(argument.value) : '';
    return value === undefined && !isDeclaration(program) ? undefined : `${argument.name}=${value ?? ''}`;
  });
  if ((program === '[' || program === 'test') && node.args.some((one) => one.type === 'Word' && isManyWords(one))) {
    into.unreadable('a test has a variable without quotes');
  }
  readCall([program, ...args], into, read);
};

/** Of these the name of what they set is looked at, not the value. */
const isDeclaration = (program: Argument): boolean =>
  program !== undefined && ['export', 'readonly', 'local', 'declare', 'typeset'].includes(program);

/** Devices through which nothing is kept or learnt. */
const NO_FILES = ['/dev/null', '/dev/stdin', '/dev/stdout', '/dev/stderr'];

/** A file that the shell opens is noted as a program of its own, so that one rule serves both. */
const readRedirect = ({ operator, target }: Redirect, into: Findings): void => {
  const path = target && literalOf(target);
  if (target === undefined || (path !== undefined && NO_FILES.includes(path))) return;
  if (operator.endsWith('&') && /^(\d+-?|-)$/.test(path ?? '')) return;
  for (const program of ['<', '>']) {
    // One that goes back and forth leads elsewhere than it looks.
    const isPlain = path !== undefined && !/(^|\/)\.\.(\/|$)/.test(path);
    if (operator.includes(program)) into.found({ program, args: [isPlain ? path : undefined] });
  }
};

/** The text that a word stands for; undefined where that is known only when it runs. */
const literalOf = (word: Word): Argument => {
  if (word.text.startsWith('~')) return undefined;
  if (!word.parts) return word.value;
  const texts = word.parts.map(textOf);
  return texts.includes(undefined) ? undefined : texts.join('');
};

const textOf = (part: WordPart): Argument => {
  if (part.type === 'Literal' || part.type === 'SingleQuoted' || part.type === 'AnsiCQuoted') return part.value;
  if (part.type !== 'DoubleQuoted') return undefined;
  const texts = part.parts.map(textOf);
  return texts.includes(undefined) ? undefined : texts.join('');
};

/** Whether it may turn out to be several words, or none. */
const isManyWords = ({ parts = [] }: Word): boolean =>
  parts.some((part) => {
    if (part.type === 'DoubleQuoted') return part.parts.some((inner) => /^\$\{?@|\[@\]/.test(inner.text));
    if (part.type === 'SimpleExpansion') return !/^\$[#?$!]$/.test(part.text);
    return !['Literal', 'SingleQuoted', 'AnsiCQuoted', 'ArithmeticExpansion'].includes(part.type);
  });

type Faults = {
  readonly [T in SyntaxNode['type']]?: (node: SyntaxNode & { type: T }, text: string) => string | undefined;
};

const bashOnly = (): string => 'it is written for bash, and may be run by another shell';
const isWholeNumber = (word: Word | undefined): boolean => word === undefined || /^\d+$/.test(word.text);
const setsIfItDecides = (name: string): string | undefined => (decidesWhatRuns(name) ? setsVariable(name) : undefined);

/** What cannot be read, in every shell. */
const FAULTS: Faults = {
  Script: (node) =>
    'errors' in node && node.errors && node.errors.length > 0 ? 'its syntax is not that of a shell' : undefined,
  Assignment: (node) => (node.index ? 'it sets an element of an array' : setsIfItDecides(node.name)),
  For: ({ name }) => setsIfItDecides(name.value),
  Select: () => 'select asks what to do',
  Coproc: () => 'coproc sets variables',
  FileDescriptorVariable: () => 'it has a file’s number put into a variable',
  ArithmeticFor: () => 'a loop over arithmetic may run what its variables hold',
  ArithmeticCommand: () => 'arithmetic of a command may run what its variables hold',
  ArithmeticWord: ({ value, parts }) =>
    parts || !/^\d*$/.test(value.trim()) ? 'arithmetic may run what its variables hold' : undefined,
  ArithmeticExpansion: ({ expression, text }) =>
    expression ? undefined : `the arithmetic ${text.slice(0, 40)} is not read`,
  CommandExpansion: ({ script, text }) => (script ? undefined : `${text.slice(0, 40)} is not read`),
  ProcessSubstitution: ({ script, text }) => (script ? undefined : `${text.slice(0, 40)} is not read`),
  ParameterExpansion: ({ prefix, index, operation, parameter }) => {
    if (prefix === '!') return 'a variable names another';
    if (index && !/^(\d+|[@*])$/.test(index.text)) return 'an array’s index may run what it holds';
    if (operation?.type === 'Transform' || operation?.type === 'Unknown') return 'a variable’s text may be run';
    if (operation?.type === 'Slice') {
      return isWholeNumber(operation.offset) && isWholeNumber(operation.length)
        ? undefined
        : 'arithmetic may run what its variables hold';
    }
    return operation?.type === 'Default' && operation.operator.endsWith('=') ? setsIfItDecides(parameter) : undefined;
  },
  TestUnary: ({ operator }) =>
    operator === '-v' || operator === '-R' ? 'a test may run what a name’s index holds' : undefined,
  TestBinary: ({ operator, left, right }) =>
    /^-(eq|ne|lt|le|gt|ge)$/.test(operator) && !(isWholeNumber(left) && isWholeNumber(right))
      ? 'a test of numbers may run what its variables hold'
      : undefined,
};

/** What other shells read differently from bash, or not at all. */
const BASH_ONLY: Faults = {
  AnsiCQuoted: bashOnly,
  LocaleString: bashOnly,
  BraceExpansion: bashOnly,
  ExtendedGlob: bashOnly,
  ProcessSubstitution: bashOnly,
  TestCommand: bashOnly,
  ArrayValue: bashOnly,
  HereString: bashOnly,
  Function: ({ pos }, text) => (text.startsWith('function', pos) ? bashOnly() : undefined),
  Assignment: ({ append }) => (append ? bashOnly() : undefined),
  Redirect: ({ operator, target }) =>
    operator.startsWith('&') || (operator === '>&' && !isDescriptor(target)) ? bashOnly() : undefined,
  Pipeline: ({ operators }) => (operators.includes('|&') ? bashOnly() : undefined),
  CaseItem: ({ terminator }) => (terminator === undefined || terminator === ';;' ? undefined : bashOnly()),
  ParameterExpansion: ({ operation, index, prefix }) =>
    index || prefix === '!' || (operation && !['Default', 'Remove'].includes(operation.type)) ? bashOnly() : undefined,
};

const faultOf = (node: SyntaxNode, text: string, isBash: boolean): string | undefined => {
  const of = (faults: Faults) =>
    (faults[node.type] as ((node: SyntaxNode, text: string) => string | undefined) | undefined)?.(node, text);
  return of(FAULTS) ?? (isBash ? undefined : of(BASH_ONLY));
};

const isDescriptor = (target: Word | undefined): boolean => target !== undefined && /^(\d+|-)$/.test(target.text);
