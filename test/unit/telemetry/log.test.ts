import { expect, test } from 'vitest';
import { jsonLog } from '../../../shared/telemetry/log.ts';
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
