import { expect, test } from 'vitest';
import { jsonLog, LOG_LEVELS, type LogLevel, parseLogLevel } from '../../../shared/telemetry/log.ts';
import { withinTrace } from '../../../shared/telemetry/trace-scope.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const lineOf = (write: (log: ReturnType<typeof jsonLog>) => void): string => {
  const lines: string[] = [];
  write(jsonLog(fakeClock(), (line) => void lines.push(line)));
  return lines.join('');
};

test.for<[string, string]>([
  ['a line end', 'a\n{"level":"error"}'],
  ['a carriage return', 'a\rb'],
  ['an escape sequence', '\u001b[2J\u001b]0;title\u0007'],
  ['a C1 control sequence', '\u009b2J'],
  ['DEL', '\u007f'],
  ['a NUL', 'a\0b'],
  ['a change of direction', '\u202eevil\u2066'],
  ['a line separator', 'a\u2028b\u2029c\u0085d'],
  ['half a surrogate pair', '\ud800'],
  ['quotes', '"},{"a":"b'],
])('%s in a field, its name, the message or an error stays in its line, and is shown, not obeyed', ([, text]) => {
  const line = lineOf((log) => log.info(text, { [`x${text}`]: text, error: new Error(text, { cause: text }) }));
  expect(line).toMatch(/^[\x20-\x7e]*\n$/);
  expect(JSON.parse(line)).toMatchObject({ message: text, [`x${text}`]: text, error: { message: text, cause: text } });
});

test('no field can take the place of the time, the level or the message', () => {
  const line = lineOf((log) => log.warn('said', { time: 'never', level: 'none', message: 'other', id: 1 }));
  expect(JSON.parse(line)).toMatchObject({ level: 'warn', message: 'said', time: expect.stringMatching(/^2/), id: 1 });
});

const COMMAND = 'cmd_01jd3zt6m8q9v3x7k2n5p4r6s8';

test.for<[string, Record<string, unknown>, Record<string, unknown>]>([
  ['a command', { reference: `acme/${COMMAND}` }, { tenant: 'acme', command: COMMAND }],
  [
    'an attempt by its number',
    { reference: `acme/${COMMAND}`, attempt: 2 },
    { tenant: 'acme', command: COMMAND, attempt: `${COMMAND}-2` },
  ],
  ['an attempt by its key', { attempt: `${COMMAND}-2` }, { command: COMMAND, attempt: `${COMMAND}-2` }],
  ['a schedule', { reference: 'acme/sch_1' }, { tenant: 'acme', schedule: 'sch_1' }],
])('%s has the same names in every line', ([, fields, expected]) => {
  const { time: _, level: __, message: ___, ...ids } = JSON.parse(lineOf((log) => log.info('said', fields)));
  expect(ids).toEqual(expected);
});

test('what is done within a trace is logged with its id', () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const context = { traceparent: `00-${traceId}-b7ad6b7169203331-01` };
  expect(JSON.parse(lineOf((log) => withinTrace(context, () => log.info('said'))))).toMatchObject({ traceId });
  expect(JSON.parse(lineOf((log) => log.info('said')))).not.toHaveProperty('traceId');
});

test.for<[LogLevel | undefined, string[]]>([
  ['debug', ['debug', 'info', 'warn', 'error']],
  [undefined, ['info', 'warn', 'error']],
  ['warn', ['warn', 'error']],
  ['error', ['error']],
])('at level %s nothing less is written', ([level, expected]) => {
  const lines: string[] = [];
  const log = jsonLog(fakeClock(), (line) => void lines.push(line), level === undefined ? {} : { level });
  for (const one of LOG_LEVELS) log[one]('said');
  expect(lines.map((line) => JSON.parse(line).level)).toEqual(expected);
});

test('ERRAND_LOG_LEVEL is read without regard to case, and refused by what it may be', () => {
  expect([undefined, '', 'WARN'].map(parseLogLevel)).toEqual(['info', 'info', 'warn']);
  expect(() => parseLogLevel('loud')).toThrow('ERRAND_LOG_LEVEL must be one of debug, info, warn, error');
});
