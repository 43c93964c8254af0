import type { Clock } from '../domain/clock.ts';
import { toTimestamp } from '../domain/clock.ts';

type Level = 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;

/** Structured log. Fields hold ids and codes: never argv, env, input, output or anything a caller wrote. */
export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** What JSON lets stand, and a terminal that shows the log would obey: C1 controls, changes of direction, line ends. */
const OBEYED = /[\x7f-\x9f\p{Bidi_Control}\u2028\u2029]/gu;
const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** One JSON object a line, whatever is in its fields. */
export const jsonLog = (clock: Clock, write: (line: string) => void): Log => {
  const at =
    (level: Level) =>
    (message: string, fields: LogFields = {}) => {
      const own = { time: toTimestamp(clock.now()), level, message };
      // First, and not to be replaced.
      write(`${JSON.stringify({ ...own, ...fields, ...own }, describeError).replace(OBEYED, escaped)}\n`);
    };
  return { info: at('info'), warn: at('warn'), error: at('error') };
};

export const silentLog: Log = { info: () => {}, warn: () => {}, error: () => {} };

/** Errors have no enumerable fields of their own, so JSON would show them as {}. */
const describeError = (_key: string, value: unknown): unknown =>
  value instanceof Error
    ? { name: value.name, message: value.message, stack: value.stack, ...(value.cause ? { cause: value.cause } : {}) }
    : value;
