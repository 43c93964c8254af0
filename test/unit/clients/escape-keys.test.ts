import { describe, expect, test } from 'vitest';
import { makeEscapeKeys } from '../../../clients/cli/escape-keys.ts';

/** What goes through of what is typed in these pieces; `!` stands for the wish to leave. */
const through = (...pieces: readonly string[]): string => {
  const take = makeEscapeKeys();
  let all = '';
  for (const piece of pieces) {
    const { bytes, detaches } = take(Buffer.from(piece, 'latin1'));
    all += Buffer.from(bytes).toString('latin1');
    if (detaches) return `${all}!`;
  }
  return all;
};

describe('keys that are not for the command', () => {
  test.for<[string, string[], string]>([
    ['nothing special goes through', ['ls -l\r', '\x03\x04\x1b[A'], 'ls -l\r\x03\x04\x1b[A'],
    ['~. at the very beginning', ['~.'], '!'],
    ['~. after a line', ['ls\r~.rest'], 'ls\r!'],
    ['~. after a line feed', ['ls\n~.'], 'ls\n!'],
    ['~. in two pieces', ['ls\r', '~', '.'], 'ls\r!'],
    ['~. within a line', ['cd ~.'], 'cd ~.'],
    ['~ within a line', ['cd ~/x\r'], 'cd ~/x\r'],
    ['~~ is one', ['~~.\r'], '~.\r'],
    ['~ and something else', ['~/bin\r'], '~/bin\r'],
    ['~ and a line break, after which it counts again', ['~\r~.'], '~\r!'],
    ['all bytes', [String.fromCharCode(...Array(256).keys())], String.fromCharCode(...Array(256).keys())],
    ['a ~ that nothing follows waits', ['\r~'], '\r'],
  ])('%s', ([, typed, expected]) => {
    expect(through(...typed)).toBe(expected);
  });
});
