import type { Clock } from '../domain/clock.ts';
import { toTimestamp } from '../domain/clock.ts';
import { parentOf } from '../domain/trace-context.ts';
import { currentTrace } from './trace-scope.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Structured log. Fields hold ids and codes: never argv, env, input, output or anything a caller wrote. Their names:
 * `requestId`; `tenant`, `command`, `attempt` (`<command>-<n>`), `schedule`; `target`, `actor`; `error`.
 * `reference` is written out as what it names, and the number of an attempt as its key.
 */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** What JSON lets stand, and a terminal that shows the log would obey: C1 controls, changes of direction, line ends. */
const OBEYED = /[\x7f-\x9f\p{Bidi_Control}\u2028\u2029]/gu;
const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

interface LogOptions {
  /** What is less is not written. @default 'info' */
  readonly level?: LogLevel;
}

/** One JSON object a line, whatever is in its fields. Work that belongs to a trace is logged with its `traceId`. */
export const jsonLog = (
  clock: Clock,
  write: (line: string) => void,
  { level: least = 'info' }: LogOptions = {},
): Log => {
  const at = (level: LogLevel) => {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least)) return () => {};
    return (message: string, fields: LogFields = {}) => {
      const own = { time: toTimestamp(clock.now()), level, message };
      const trace = currentTrace();
      const ids = { ...(trace ? { traceId: parentOf(trace).traceId } : {}), ...idsOf(fields) };
      // First, and not to be replaced.
      write(`${JSON.stringify({ ...own, ...fields, ...ids, ...own }, describeError).replace(OBEYED, escaped)}\n`);
    };
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
};

export const silentLog: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** @throws Error in words for a person */
export const parseLogLevel = (text: string | undefined): LogLevel => {
  if (text === undefined || text === '') return 'info';
  const level = LOG_LEVELS.find((one) => one === text.toLowerCase());
  if (level) return level;
  throw new Error(`ERRAND_LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}, not ${JSON.stringify(text)}.`);
};

const COMMAND = /^(cmd_[0-9a-z]+)-\d+$/i;

/** The same names for the same things, however whoever logs has them at hand. */
const idsOf = ({ reference, attempt }: LogFields): LogFields => {
  if (typeof reference === 'string' && reference.includes('/')) {
    const [tenant, id = ''] = reference.split('/');
    const named = id.startsWith('sch_') ? { schedule: id } : { command: id };
    return {
      reference: undefined,
      tenant,
      ...named,
      ...(typeof attempt === 'number' ? { attempt: `${id}-${attempt}` } : {}),
    };
  }
  const [, command] = typeof attempt === 'string' ? (COMMAND.exec(attempt) ?? []) : [];
  return command === undefined ? {} : { command };
};

/** Errors have no enumerable fields of their own, so JSON would show them as {}. */
const describeError = (_key: string, value: unknown): unknown =>
  value instanceof Error
    ? { name: value.name, message: value.message, stack: value.stack, ...(value.cause ? { cause: value.cause } : {}) }
    : value;
