import { readFile } from 'node:fs/promises';
import { InvalidArgumentError } from 'commander';
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

/** `HUP` and `SIGHUP` mean the same. */
export const toSignalName = (text: string): string => {
  const name = text.toUpperCase();
  return name.startsWith('SIG') ? name : `SIG${name}`;
};

/** The options that describe a command, as they are on run, submit and replay. */
export interface CommandOptions {
  readonly on?: string;
  readonly image?: string;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly script?: string;
  readonly shell?: string;
  readonly timeout?: number;
  readonly queueTtl?: number;
  readonly priority?: Submission['priority'];
  readonly label?: Record<string, string>;
  readonly isolation?: Submission['isolation'];
  readonly retry?: number;
  readonly retryOn?: NonNullable<Submission['retry']>['on'];
}

/** The request's body, without its input. What is not given is left to the server. */
export const toSubmission = async (
  argv: readonly string[],
  options: CommandOptions,
  terminal: Pick<Terminal, 'stdin'>,
): Promise<Submission> => {
  const script = options.script === undefined ? undefined : await readScript(options.script, terminal);
  const all = {
    argv: argv.length > 0 ? [...argv] : undefined,
    script,
    target: options.on,
    image: options.image,
    env: options.env,
    cwd: options.cwd,
    shell: options.shell,
    timeoutSeconds: options.timeout,
    queueTtlSeconds: options.queueTtl,
    priority: options.priority,
    labels: options.label,
    isolation: options.isolation,
    retry:
      options.retry === undefined
        ? undefined
        : {
            maxAttempts: options.retry,
            on: options.retryOn ?? ['provider-error' as const, 'lost' as const, 'nonzero-exit' as const],
          },
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Submission;
};

const readScript = async (path: string, { stdin }: Pick<Terminal, 'stdin'>): Promise<string> => {
  if (path !== '-') return readFile(path, 'utf8');
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of stdin) {
    pieces.push(piece as Buffer);
    length += (piece as Buffer).length;
    if (length > LIMITS.argumentBytes) break;
  }
  return Buffer.concat(pieces).toString('utf8');
};
