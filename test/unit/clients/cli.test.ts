import { describe, expect, test } from 'vitest';
import { collectEnv, collectPair, parseDuration, toSignalName } from '../../../clients/cli/arguments.ts';
import { exitCodeOf } from '../../../clients/cli/exit-codes.ts';
import { commandLine, table } from '../../../clients/cli/render.ts';
import { paint, plain, type Terminal } from '../../../clients/cli/terminal.ts';
import type { CommandView, ResultView } from '../../../shared/contract/schemas.ts';

describe('arguments', () => {
  test.for([
    ['90', 90],
    ['0', 0],
    ['60s', 60],
    ['5m', 300],
    ['1h30m', 5_400],
    ['2d', 172_800],
  ] as const)('%s is %i seconds', ([text, seconds]) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  test.each(['', 's', '5x', '1h 30m', '-5', '1.5h', 'm5'])('%j is no time', (text) => {
    expect(() => parseDuration(text)).toThrow(/such as 60s/);
  });

  test('pairs are collected, and a bare variable takes its value from here', () => {
    expect(collectPair('B=x=y', collectPair('A='))).toEqual({ A: '', B: 'x=y' });
    expect(() => collectPair('=x')).toThrow();
    const collect = collectEnv({ env: { TOKEN: 'secret' } });
    expect(collect('TOKEN', { A: '1' })).toEqual({ A: '1', TOKEN: 'secret' });
    expect(() => collect('MISSING')).toThrow(/MISSING is not set here/);
  });

  test.for([
    ['HUP', 'SIGHUP'],
    ['sigusr1', 'SIGUSR1'],
  ] as const)('the signal %s is %s', ([given, name]) => {
    expect(toSignalName(given)).toBe(name);
  });
});

describe('the exit code', () => {
  test.for<[CommandView['status'], Partial<ResultView>, number]>([
    ['succeeded', { exitCode: 0 }, 0],
    ['failed', { exitCode: 7 }, 7],
    ['failed', { exitCode: null, signal: 'SIGKILL' }, 137],
    ['failed', { exitCode: null, signal: 'SIGTERM' }, 143],
    ['failed', { exitCode: null, reason: 'provider-error' }, 125],
    ['timed_out', { exitCode: 0, reason: 'timeout' }, 124],
    ['canceled', { exitCode: null, signal: 'SIGTERM' }, 130],
    ['expired', { exitCode: null, reason: 'timeout' }, 125],
    ['lost', { exitCode: null, reason: 'lost' }, 125],
  ])('of %s %o is %i', ([status, result, code]) => {
    expect(exitCodeOf({ status, result: result as ResultView })).toBe(code);
  });
});

describe('what others wrote', () => {
  test.for([
    ['plain é€😀', 'plain é€😀'],
    ['\u001b[2J', '\\u001b[2J'],
    ['a\nb\tc\rd', 'a\\nb\\tc\\rd'],
    ['\u202egnp.exe', '\\u202egnp.exe'],
    ['\u009b31m', '\\u009b31m'],
  ] as const)('%j is printed as %j', ([text, shown]) => {
    expect(plain(text)).toBe(shown);
  });

  test('a command line reads as one would type it', () => {
    expect(commandLine({ argv: ['echo', 'a b', "it's", '$HOME', '', 'x=1'] })).toBe(
      "echo 'a b' 'it'\\''s' '$HOME' '' x=1",
    );
    expect(commandLine({ script: 'a | b', shell: '/bin/sh' })).toBe("/bin/sh -c 'a | b'");
  });
});

describe('colours', () => {
  const terminal = (env: Record<string, string>) => ({ env }) as unknown as Terminal;
  const tty = { isTTY: true } as NodeJS.WriteStream;
  const pipe = { isTTY: false } as NodeJS.WriteStream;
  test.for<[string, Record<string, string>, NodeJS.WriteStream, boolean]>([
    ['a terminal', {}, tty, true],
    ['a pipe', {}, pipe, false],
    ['NO_COLOR', { NO_COLOR: '1' }, tty, false],
    ['TERM=dumb', { TERM: 'dumb' }, tty, false],
    ['FORCE_COLOR and a pipe', { FORCE_COLOR: '1' }, pipe, true],
    ['FORCE_COLOR=0', { FORCE_COLOR: '0' }, pipe, false],
  ])('with %s: %o', ([, env, stream, coloured]) => {
    expect(paint(terminal(env), stream, 'red', 'x') !== 'x').toBe(coloured);
  });

  test.for([
    [0, 'one  a long command'],
    [80, 'one  a long command'],
    [19, 'one  a long command'],
    [18, 'one  a long comma…'],
    [2, 'one  a long …'],
  ] as const)('a table in %i columns ends with %j', ([width, line]) => {
    expect(table(['A', 'B'], [['one', 'a long command']], width)).toBe(`A    B\n${line}\n`);
  });

  test('do not disturb a table', () => {
    const red = paint(terminal({ FORCE_COLOR: '1' }), pipe, 'red', 'no');
    expect(
      table(
        ['A', 'B'],
        [
          [red, 'x'],
          ['yes', 'y'],
        ],
      ),
    ).toBe(`A    B\n${red}   x\nyes  y\n`);
  });
});
