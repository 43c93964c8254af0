import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CommandView } from '../../shared/contract/schemas.ts';
import { cli, startCli, startServer } from '../support/cli.ts';
import { processesWith } from '../support/processes.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const linux = process.platform === 'linux';
/** util-linux's script(1) gives a program a terminal. */
const hasScript = linux && existsSync('/usr/bin/script');
const jsonLines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

/** Without a server, and with one on the same data folder: it must make no difference. */
describe.each(['embedded', 'with a server'] as const)('errand run, %s', (mode) => {
  const setUp = async (): Promise<string> => {
    const dataDirectory = tempDirectory();
    if (mode === 'with a server') await startServer(dataDirectory);
    return dataDirectory;
  };

  test('keeps the streams apart and exits as the command did', async () => {
    const dataDirectory = await setUp();
    const ran = await cli(['run', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7'], { dataDirectory });
    expect(ran).toMatchObject({ exit: 7, stdout: 'out\n', stderr: 'err\n' });
  });

  test('passes binary input on, and output back, byte for byte', async () => {
    const dataDirectory = await setUp();
    const input = randomBytes(5_000_000);
    const ran = await cli(['run', '--', 'cat'], { dataDirectory, input });
    expect([ran.exit, Buffer.compare(ran.bytes, input)]).toEqual([0, 0]);
  });

  test('does not wait for an input that nobody reads', async () => {
    const dataDirectory = await setUp();
    const running = startCli(['run', '--', 'echo', 'done'], { dataDirectory, stdin: 'pipe' });
    expect(await running.exit).toBe(0);
    expect(running.stdout().toString()).toBe('done\n');
  });

  test.skipIf(!linux)('Ctrl-C ends the command with all it started, and says so', async () => {
    const dataDirectory = await setUp();
    const marker = `sleep-${Math.random()}`;
    const running = startCli(
      ['run', '--env', `MARK=${marker}`, '--', 'sh', '-c', 'setsid sleep 1000 & echo ready; sleep 1000'],
      { dataDirectory },
    );
    await running.says('ready');
    expect(processesWith(`MARK=${marker}`).length).toBeGreaterThanOrEqual(2);
    running.process.kill('SIGINT');
    expect(await running.exit).toBe(130);
    expect(running.stderr()).toMatch(/canceling cmd_\w+ \(Ctrl-C again to leave\)/);
    expect(processesWith(`MARK=${marker}`)).toEqual([]);
  });

  test.for<[string, string[], number, RegExp]>([
    ['a time-out', ['run', '--timeout', '1s', '--', 'sleep', '100'], 124, /time-out of 1 s/],
    ['a signal', ['run', '--', 'sh', '-c', 'kill -9 $$'], 137, /ended by SIGKILL/],
    ['a program that is not there', ['run', '--', 'no-such-program'], 127, /no-such-program was not found/],
    ['a program that cannot be executed', ['run', '--', '/etc/passwd'], 126, /may not be executed/],
    ['a target that is not there', ['run', '--on', 'mars', '--', 'true'], 2, /no target "mars".*local/],
    ['walls that are not there', ['run', '--isolation', 'microvm', '--', 'true'], 125, /offers isolation none/],
  ])('after %s exits with %s', async ([, args, exit, words]) => {
    const dataDirectory = await setUp();
    const ran = await cli(args, { dataDirectory });
    expect(ran.exit).toBe(exit);
    expect(ran.stderr).toMatch(words);
    expect(ran.stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  test('--json prints lines of JSON and nothing else', async () => {
    const dataDirectory = await setUp();
    const ran = await cli(['run', '--json', '--', 'sh', '-c', "echo text; printf '\\377' >&2; exit 3"], {
      dataDirectory,
    });
    const lines = jsonLines(ran.stdout);
    expect([ran.exit, ran.stderr]).toEqual([3, '']);
    expect(lines.find(({ type }) => type === 'stdout')).toMatchObject({ text: 'text\n', offset: 0 });
    expect(lines.find(({ type }) => type === 'stderr')).toMatchObject({ base64: '/w==' });
    expect(lines.at(-1)).toMatchObject({ type: 'end', command: { status: 'failed', result: { exitCode: 3 } } });
  });

  test('two at once on one folder do not disturb each other', async () => {
    const dataDirectory = await setUp();
    const both = await Promise.all(
      ['one', 'two', 'three'].map((word) =>
        cli(['run', '--', 'sh', '-c', `sleep 0.3; echo ${word}`], { dataDirectory }),
      ),
    );
    expect(both.map(({ exit, stdout }) => [exit, stdout])).toEqual([
      [0, 'one\n'],
      [0, 'two\n'],
      [0, 'three\n'],
    ]);
    const listed = await cli(['ps', '--all', '--json'], { dataDirectory });
    expect(jsonLines(listed.stdout).map(({ status }) => status)).toEqual(['succeeded', 'succeeded', 'succeeded']);
  });

  test('runs a script from a file or from stdin', async () => {
    const dataDirectory = await setUp();
    const file = join(dataDirectory, 'script');
    writeFileSync(file, 'read line; echo "got $line"');
    expect(await cli(['run', '--script', file], { dataDirectory, input: 'input\n' })).toMatchObject({
      exit: 0,
      stdout: 'got input\n',
    });
    expect(await cli(['run', '--script', '-'], { dataDirectory, input: 'echo from stdin' })).toMatchObject({
      exit: 0,
      stdout: 'from stdin\n',
    });
  });

  test('a reader that has enough ends the command', async () => {
    const dataDirectory = await setUp();
    const running = startCli(['run', '--', 'yes'], { dataDirectory });
    await running.says('y\ny\n');
    running.process.stdout?.destroy();
    expect(await running.exit).toBe(141);
    const listed = await cli(['ps', '--all', '--json'], { dataDirectory });
    expect(jsonLines(listed.stdout)[0]).toMatchObject({ status: 'canceled' });
  });
});

describe('the other commands', () => {
  test('submit prints the id alone; logs -f follows; show, ps, replay and cancel know it', async () => {
    const server = await startServer();
    const options = { dataDirectory: tempDirectory(), env: { ERRAND_URL: server.url } };
    const submitted = await cli(
      ['submit', '--label', 'team=a', '--', 'sh', '-c', 'echo one; sleep 0.2; echo two >&2; exit 4'],
      options,
    );
    expect(submitted.stdout).toMatch(/^cmd_[0-9a-z]{26}\n$/);
    const id = submitted.stdout.trim();
    expect(await cli(['logs', '-f', '--exit-code', id], options)).toMatchObject({
      exit: 4,
      stdout: 'one\n',
      stderr: 'two\n',
    });
    expect(await cli(['logs', 'last', '--stream', 'stderr'], options)).toMatchObject({
      exit: 0,
      stdout: '',
      stderr: 'two\n',
    });
    expect((await cli(['show', id], options)).stdout).toMatch(/status\s+failed \(4\)[\s\S]*team=a/);
    expect(JSON.parse((await cli(['show', 'last', '--json'], options)).stdout)).toMatchObject({ id, status: 'failed' });
    const replayed = (await cli(['replay', id, '--timeout', '5m', '--', 'sleep', '1000'], options)).stdout.trim();
    const listed = await cli(['ps'], options);
    expect(listed.stdout).toContain(replayed);
    expect(listed.stdout).not.toContain(id);
    expect(await cli(['cancel', '--wait', replayed], options)).toMatchObject({
      exit: 0,
      stdout: `${replayed} canceled\n`,
    });
    expect(await cli(['cancel', replayed], options)).toMatchObject({
      exit: 125,
      stderr: expect.stringContaining('already ended: canceled'),
    });
    expect((JSON.parse((await cli(['show', replayed, '--json'], options)).stdout) as CommandView).replayOf).toBe(id);
  });

  test('logs without -f shows what there is and does not wait', async () => {
    const server = await startServer();
    const options = { dataDirectory: tempDirectory(), env: { ERRAND_URL: server.url } };
    const id = (await cli(['submit', '--', 'sh', '-c', 'echo so far; sleep 1000'], options)).stdout.trim();
    const following = startCli(['logs', '-f', id], options);
    await following.says('so far');
    expect(await cli(['logs', id], options)).toMatchObject({ exit: 0, stdout: 'so far\n' });
    expect((await cli(['signal', id, 'TERM'], options)).exit).toBe(0);
    expect(await following.exit).toBe(0);
  });

  test('a command that was submitted without a server waits for the next one', async () => {
    const dataDirectory = tempDirectory();
    const file = join(dataDirectory, 'ran');
    const submitted = await cli(['submit', '--', 'touch', file], { dataDirectory });
    expect(submitted.stderr).toMatch(/no server runs here.*errand serve/);
    expect(existsSync(file)).toBe(false);
    await startServer(dataDirectory);
    expect(await cli(['logs', '-f', '--exit-code', 'last'], { dataDirectory })).toMatchObject({ exit: 0 });
    expect(existsSync(file)).toBe(true);
  });

  test('providers lists what the target can do', async () => {
    expect((await cli(['providers'], { dataDirectory: tempDirectory() })).stdout).toMatch(
      /local\s+local\s+healthy\s+yes\s+none/,
    );
  });

  test.for<[string, string[], number, RegExp]>([
    ['an unknown command', ['rnu'], 2, /unknown command 'rnu'[\s\S]*Did you mean run\?/],
    ['an unknown option', ['run', '--tiemout', '1s'], 2, /Did you mean --timeout\?/],
    ['a time that is none', ['run', '--timeout', 'soon', '--', 'true'], 2, /such as 60s/],
    ['no program', ['run'], 2, /Give a program after --/],
    ['a program and a script', ['run', '--script', 'x', '--', 'true'], 2, /or a --script/],
    ['causes of a retry alone', ['run', '--retry-on', 'lost', '--', 'true'], 2, /--retry 3/],
    ['an unknown id', ['show', 'cmd_00000000000000000000000001'], 125, /no command cmd_0/],
    ['an id that is none', ['show', 'x'], 2, /must be a command id/],
    ['last where there is none', ['logs', 'last'], 125, /no command yet/],
    [
      'a server that is not there',
      ['--url', 'http://127.0.0.1:9', 'run', '--', 'true'],
      125,
      /127\.0\.0\.1:9 cannot be reached.*errand serve/,
    ],
    ['a URL that is none', ['--url', 'nonsense', 'ps'], 125, /no URL/],
    ['a profile that is not there', ['--profile', 'production', 'ps'], 125, /profile/],
    ['a script that is not there', ['run', '--script', '/no/such/script'], 125, /no such file/],
  ])('%s is told in words', async ([, args, exit, words]) => {
    const ran = await cli(args, { dataDirectory: tempDirectory() });
    expect(ran.exit).toBe(exit);
    expect(ran.stderr).toMatch(words);
    expect(ran.stderr).not.toMatch(/\n\s+at /);
  });

  test('what is printed has no escape codes where there is no terminal, nor from what commands wrote', async () => {
    const dataDirectory = tempDirectory();
    await cli(['run', '--', 'echo', '\u001b[2J\u202e'], { dataDirectory });
    for (const args of [['ps', '--all'], ['show', 'last'], ['--help']]) {
      const { stdout } = await cli(args, { dataDirectory });
      for (const character of ['\u001b', '\u202e']) expect(stdout).not.toContain(character);
    }
    expect((await cli(['ps', '--all'], { dataDirectory, env: { FORCE_COLOR: '1' } })).stdout).toContain(
      '\u001b[32msucceeded',
    );
  });

  test.each(['bash', 'zsh', 'fish'])('completion %s knows every command', async (shell) => {
    const { stdout } = await cli(['completion', shell], { dataDirectory: tempDirectory() });
    for (const name of ['run', 'submit', 'logs', 'serve']) expect(stdout).toContain(name);
  });

  test('profiles name servers', async () => {
    const server = await startServer();
    const dataDirectory = tempDirectory();
    const config = join(dataDirectory, 'config.json');
    writeFileSync(config, JSON.stringify({ profiles: { here: { url: server.url } } }));
    const ran = await cli(['run', '--', 'echo', 'hi'], {
      dataDirectory,
      env: { ERRAND_CONFIG: config, ERRAND_PROFILE: 'here' },
    });
    expect(ran).toMatchObject({ exit: 0, stdout: 'hi\n' });
    expect(existsSync(join(dataDirectory, 'errand.db'))).toBe(false);
  });
});

describe('errand run', () => {
  test.skipIf(!hasScript)('on a terminal tells what it waits for, in a line that goes without a trace', async () => {
    const server = await startServer(tempDirectory(), ['--concurrency', '1']);
    const options = { dataDirectory: tempDirectory(), env: { ERRAND_URL: server.url, TERM: 'xterm' } };
    const blocking = (await cli(['submit', '--', 'sleep', '1000'], options)).stdout.trim();
    const running = startCli(['run', '--', 'echo', 'hello'], { ...options, terminal: true });
    await running.says('queued');
    await cli(['cancel', '--wait', blocking], options);
    expect(await running.exit).toBe(0);
    const shown = running.stdout().toString();
    // The line is cleared right before the output, and nothing of it comes after.
    expect(shown.slice(shown.lastIndexOf('\u001b[K') + 3)).toBe('hello\r\n');
  });

  test.skipIf(!linux)('killed with -9 leaves nothing of its command, which is then lost', async () => {
    const dataDirectory = tempDirectory();
    const running = startCli(
      ['run', '--env', 'MARK=killed-cli', '--', 'sh', '-c', 'echo ready; sleep 1000 & setsid sleep 1000'],
      { dataDirectory },
    );
    await running.says('ready');
    running.process.kill('SIGKILL');
    await once(running.process, 'close');
    const listed = await cli(['ps', '--all', '--json'], { dataDirectory });
    expect(jsonLines(listed.stdout)[0]).toMatchObject({ status: 'lost', result: { reason: 'lost' } });
    expect(processesWith('MARK=killed-cli')).toEqual([]);
  });

  test('a second Ctrl-C leaves at once', async () => {
    const dataDirectory = tempDirectory();
    const running = startCli(['run', '--', 'sh', '-c', "trap '' TERM; echo ready; while :; do sleep 1; done"], {
      dataDirectory,
    });
    await running.says('ready');
    running.process.kill('SIGINT');
    await running.says('canceling');
    running.process.kill('SIGINT');
    expect(await running.exit).toBe(130);
  });

  test('data is readable by its owner alone', async () => {
    const dataDirectory = join(tempDirectory(), 'data');
    await cli(['run', '--', 'true'], { dataDirectory });
    const { statSync } = await import('node:fs');
    expect(statSync(dataDirectory).mode & 0o077).toBe(0);
    expect(statSync(join(dataDirectory, 'errand.db')).mode & 0o077).toBe(0);
  });

  test('large output has the right hash', async () => {
    const dataDirectory = tempDirectory();
    const ran = await cli(['run', '--', 'sh', '-c', 'yes 0123456789abcde | head -c 50000000'], { dataDirectory });
    const expected = createHash('sha256').update(Buffer.alloc(50_000_000, '0123456789abcde\n')).digest('hex');
    expect(createHash('sha256').update(ran.bytes).digest('hex')).toBe(expected);
  });

  test('the package’s own commands are where the README says', () => {
    const { bin, scripts } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect([existsSync(new URL(`../../${bin.errand}`, import.meta.url)), scripts.start]).toEqual([
      true,
      'node clients/cli/start.js',
    ]);
  });
});
