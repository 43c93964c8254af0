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

/** One JSON object a line. */
export const jsonLog = (clock: Clock, write: (line: string) => void): Log => {
  const at =
    (level: Level) =>
    (message: string, fields: LogFields = {}) =>
      write(`${JSON.stringify({ time: toTimestamp(clock.now()), level, message, ...fields }, describeError)}\n`);
  return { info: at('info'), warn: at('warn'), error: at('error') };
};

export const silentLog: Log = { info: () => {}, warn: () => {}, error: () => {} };

/** Errors have no enumerable fields of their own, so JSON would show them as {}. */
const describeError = (_key: string, value: unknown): unknown =>
  value instanceof Error
    ? { name: value.name, message: value.message, stack: value.stack, ...(value.cause ? { cause: value.cause } : {}) }
    : value;
