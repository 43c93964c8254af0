import { readFile } from 'node:fs/promises';
import { InvalidArgumentError } from 'commander';
import { ISOLATION_LEVELS, type Isolation, RETRY_CAUSES, type RetryCause } from '../../shared/domain/command.ts';
import { EVENT_TYPES, type EventType } from '../../shared/domain/events.ts';
import { LIMITS } from '../../shared/domain/limits.ts';
import type { Submission } from '../sdk/client.ts';
import type { Terminal } from './terminal.ts';

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** `90`, `60s`, `5m`, `1h30m` in seconds. @throws InvalidArgumentError */
export const parseDuration = (text: string): number => {
  if (/^\d+$/.test(text)) return Number(text);
  const parts = [...text.matchAll(/(\d+)([smhd])/g)];
  if (text === '' || parts.map(([part]) => part).join('') !== text) {
    throw new InvalidArgumentError('Give a time such as 60s, 5m or 1h30m.');
  }
  return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (SECONDS[unit ?? ''] ?? 0), 0);
};

/** @throws InvalidArgumentError */
export const parseWholeNumber = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Give a whole number.');
  return Number(text);
};

/** @throws InvalidArgumentError */
export const parsePositive = (text: string): number => {
  const number = parseWholeNumber(text);
  if (number === 0) throw new InvalidArgumentError('Give a whole number from 1 on.');
  return number;
};

/** `512`, `512M` and `2G` in MiB. @throws InvalidArgumentError */
export const parseMebibytes = (text: string): number => {
  const [, amount, unit] = /^(\d+)(?:([MG])i?B?)?$/i.exec(text) ?? [];
  const mebibytes = Number(amount) * (unit?.toUpperCase() === 'G' ? 1_024 : 1);
  if (!(mebibytes > 0)) throw new InvalidArgumentError('Give an amount of memory such as 512, 512M or 2G.');
  return mebibytes;
};

/** `0.5`, `2`. @throws InvalidArgumentError */
export const parseAmount = (text: string): number => {
  if (!/^\d+(\.\d+)?$/.test(text) || Number(text) === 0)
    throw new InvalidArgumentError('Give a number such as 0.5 or 2.');
  return Number(text);
};

/** Collects what is given several times. */
export const collect = (text: string, before: readonly string[] = []): string[] => [...before, text];

/** Collects `K=V` options into a record. @throws InvalidArgumentError */
export const collectPair = (text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> => {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('Give it as NAME=VALUE.');
  return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) };
};

/** As `collectPair`, and a bare `NAME` takes the value from our own environment. @throws InvalidArgumentError */
export const collectEnv =
  ({ env }: Pick<Terminal, 'env'>) =>
  (text: string, before?: Readonly<Record<string, string>>): Record<string, string> => {
    if (text.includes('=')) return collectPair(text, before);
    const value = env[text];
    if (value === undefined) throw new InvalidArgumentError(`${text} is not set here. Give it as ${text}=VALUE.`);
    return { ...before, [text]: value };
  };

/** @throws InvalidArgumentError */
export const collectCause = (text: string, before: readonly RetryCause[] = []): RetryCause[] => {
  const cause = RETRY_CAUSES.find((known) => known === text);
  if (!cause) throw new InvalidArgumentError(`Give one of ${RETRY_CAUSES.join(', ')}.`);
  return [...before, cause];
};

/** @throws InvalidArgumentError */
export const collectLevel = (text: string, before: readonly Isolation[] = []): Isolation[] => {
  const level = ISOLATION_LEVELS.find((known) => known === text);
  if (!level) throw new InvalidArgumentError(`Give one of ${ISOLATION_LEVELS.join(', ')}.`);
  return [...before, level];
};

/** @throws InvalidArgumentError */
export const collectEventType = (text: string, before: readonly EventType[] = []): EventType[] => {
  const type = EVENT_TYPES.find((known) => known === text);
  if (!type) throw new InvalidArgumentError(`Give one of ${EVENT_TYPES.join(', ')}.`);
  return [...before, type];
};

/** `HUP` and `SIGHUP` mean the same. */
export const toSignalName = (text: string): string => {
  const name = text.toUpperCase();
  return name.startsWith('SIG') ? name : `SIG${name}`;
};

/** The options that describe a command, as they are on run, submit and replay. */
export interface CommandOptions {
  readonly on?: string;
  readonly failover?: string[];
  readonly image?: string;
  readonly cpu?: number;
  readonly memory?: number;
  readonly env?: Record<string, string>;
  readonly secret?: Record<string, string>;
  readonly cwd?: string;
  readonly script?: string;
  readonly shell?: string;
  readonly timeout?: number;
  readonly queueTtl?: number;
  readonly cache?: number;
  readonly priority?: Submission['priority'];
  readonly label?: Record<string, string>;
  readonly isolation?: Submission['isolation'];
  readonly retry?: number;
  readonly retryOn?: RetryCause[];
}

/** Whether a level with walls is asked for. */
export const asksForWalls = ({ isolation = 'none' }: CommandOptions): boolean => isolation !== 'none';

/** The words of a call do not fit together. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * The request's body, without its input. What is not given is left to the server.
 * @throws UsageError; Error in words for a person when the script cannot be read
 */
export const toSubmission = async (
  argv: readonly string[],
  options: CommandOptions,
  terminal: Pick<Terminal, 'stdin'>,
): Promise<Submission> => {
  if (options.retryOn && options.retry === undefined)
    throw new UsageError('--retry-on says what is retried; say how often with --retry, such as --retry 3.');
  const script = options.script === undefined ? undefined : await readScript(options.script, terminal);
  const all = {
    argv: argv.length > 0 ? [...argv] : undefined,
    script,
    target: options.on,
    failover: options.failover,
    image: options.image,
    cpu: options.cpu,
    memoryMiB: options.memory,
    env: options.env,
    secrets: options.secret && toReferences(options.secret),
    cwd: options.cwd,
    shell: options.shell,
    timeoutSeconds: options.timeout,
    queueTtlSeconds: options.queueTtl,
    cacheSeconds: options.cache,
    priority: options.priority,
    labels: options.label,
    isolation: options.isolation,
    retry:
      options.retry === undefined
        ? undefined
        : { maxAttempts: options.retry, on: options.retryOn ?? [...RETRY_CAUSES] },
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Submission;
};

const toReferences = (names: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(names).map(([variable, name]) => [variable, `secret:${name}`]));

/** As `toSubmission`, for what needs something to run. @throws UsageError */
export const toWholeSubmission: typeof toSubmission = async (argv, options, terminal) => {
  if (argv.length > 0 === (options.script !== undefined))
    throw new UsageError('Give a program after --, or a --script, such as `errand run -- echo hello`.');
  return toSubmission(argv, options, terminal);
};

export const readScript = async (path: string, { stdin }: Pick<Terminal, 'stdin'>): Promise<string> => {
  if (path !== '-') {
    return readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'ENOENT' ? 'no such file' : cause.message;
      throw new Error(`The script ${path} cannot be read: ${why}. Give a file, or - for stdin.`, { cause });
    });
  }
  return (await readPiped(stdin, LIMITS.argumentBytes)).toString('utf8');
};

interface ScopeOptions {
  readonly target?: string[];
  readonly label?: Record<string, string>;
}

/** What --target and --label limit to. */
export const scopeOf = ({ target, label }: ScopeOptions) =>
  target || label ? { scope: { ...(target ? { targets: target } : {}), ...(label ? { labels: label } : {}) } } : {};

/** All of it; of what is longer than any that is taken, enough to tell so. */
export const readPiped = async (stdin: Terminal['stdin'], mostBytes: number): Promise<Buffer> => {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of stdin) {
    pieces.push(piece as Buffer);
    length += (piece as Buffer).length;
    if (length > mostBytes) break;
  }
  return Buffer.concat(pieces);
};
