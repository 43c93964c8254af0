import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { cli, startCli, startServer } from '../support/cli.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const linux = process.platform === 'linux';
const hasScript = linux && existsSync('/usr/bin/script');
const ERRAND = fileURLToPath(new URL('../../clients/cli/errand.js', import.meta.url));

/** Runs the CLI with a file as its stdin, as `< file` does. */
const withInput = (file: string, args: readonly string[]) => {
  const dataDirectory = tempDirectory();
  const input = openSync(file, 'r');
  try {
    const { PATH = '' } = process.env;
    const { status, stdout, stderr } = spawnSync(process.execPath, [ERRAND, ...args], {
      stdio: [input, 'pipe', 'pipe'],
      env: { PATH, HOME: dataDirectory, ERRAND_DATA: dataDirectory },
    });
    return { exit: status, stdout: stdout.toString(), stderr: stderr.toString() };
  } finally {
    closeSync(input);
  }
};

const listening = async (server: Server): Promise<string> => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

describe('the input of errand run', () => {
  test.skipIf(!linux).for<[string, string, string]>([
    ['/dev/null', '/dev/null', ''],
    ['a file that says it has no bytes', '/proc/version', '/proc/version'],
    ['an ordinary file', '/etc/passwd', '/etc/passwd'],
  ])('from %s arrives', ([, file, same]) => {
    const expected = same === '' ? '' : readFileSync(same, 'utf8');
    expect(withInput(file, ['run', '--', 'cat'])).toEqual({ exit: 0, stdout: expected, stderr: '' });
  });

  test.skipIf(!linux)('from a device that never ends holds nobody up', () => {
    expect(withInput('/dev/zero', ['run', '--', 'sh', '-c', 'head -c 3000000 | wc -c'])).toMatchObject({
      exit: 0,
      stdout: expect.stringMatching(/^\s*3000000\n$/),
    });
  });

  test('from an empty file is an input that ends', () => {
    const file = join(tempDirectory(), 'empty');
    writeFileSync(file, '');
    expect(withInput(file, ['run', '--', 'wc', '-c'])).toMatchObject({
      exit: 0,
      stdout: expect.stringMatching(/^\s*0\n/),
    });
  });

  test('is left alone with --no-stdin, as in a loop that reads its own', async () => {
    const ran = await cli(['run', '-n', '--', 'cat'], { dataDirectory: tempDirectory(), input: 'the next line' });
    expect(ran).toMatchObject({ exit: 0, stdout: '', stderr: '' });
  });

  test('goes on line by line, as it is typed into a pipe', async () => {
    const running = startCli(['run', '--', 'sh', '-c', 'while read line; do echo "got $line"; done'], {
      dataDirectory: tempDirectory(),
      stdin: 'pipe',
    });
    for (const word of ['one', 'two', 'three']) {
      running.process.stdin?.write(`${word}\n`);
      await running.says(`got ${word}\n`);
    }
    running.process.stdin?.end();
    expect(await running.exit).toBe(0);
  });

  test('that a replay cannot repeat is not waited for', async () => {
    const dataDirectory = tempDirectory();
    await startServer(dataDirectory);
    await cli(['run', '--', 'cat'], { dataDirectory, input: 'once' });
    const replayed = await cli(['replay', 'last'], { dataDirectory });
    expect(replayed.stderr).toMatch(/not repeated/);
    expect(await cli(['logs', '-f', '--exit-code', replayed.stdout.trim()], { dataDirectory })).toMatchObject({
      exit: 0,
      stdout: '',
    });
  });
});

describe('Ctrl-C', () => {
  test('while the server does not answer leaves after a moment, and says where to look', async () => {
    const server = createServer();
    const url = await listening(server);
    const running = startCli(['--url', url, 'run', '--', 'true'], { dataDirectory: tempDirectory() });
    await once(server, 'request');
    running.process.kill('SIGINT');
    await running.says('canceling as soon as the server answers');
    expect(await running.exit).toBe(130);
    expect(running.stderr()).toMatch(/left before http.* answered; `errand ps`/);
  });

  test('twice while the server does not answer leaves at once', async () => {
    const server = createServer();
    const url = await listening(server);
    const running = startCli(['--url', url, 'run', '--', 'true'], { dataDirectory: tempDirectory() });
    await once(server, 'request');
    running.process.kill('SIGINT');
    await running.says('canceling as soon');
    running.process.kill('SIGINT');
    expect(await running.exit).toBe(130);
    expect(running.stderr()).not.toContain('left before');
  });

  test('at the submission cancels the command that came of it', async () => {
    const server = await startServer();
    // Holds the answer to the submission back until Ctrl-C was pressed.
    const pressed = Promise.withResolvers<void>();
    const taken = Promise.withResolvers<void>();
    const proxy = createServer(async (request, response) => {
      const pieces: Buffer[] = [];
      for await (const piece of request) pieces.push(piece as Buffer);
      const { host: _, connection: __, 'content-length': ___, 'transfer-encoding': ____, ...headers } = request.headers;
      const answer = await fetch(`${server.url}${request.url}`, {
        method: request.method ?? 'GET',
        headers: headers as Record<string, string>,
        ...(pieces.length > 0 ? { body: Buffer.concat(pieces) } : {}),
      });
      if (request.url === '/v1/commands') {
        taken.resolve();
        await pressed.promise;
      }
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
      for await (const piece of answer.body ?? []) response.write(piece);
      response.end();
    });
    const running = startCli(['--url', await listening(proxy), 'run', '--', 'sleep', '1000'], {
      dataDirectory: tempDirectory(),
    });
    await taken.promise;
    running.process.kill('SIGINT');
    await running.says('canceling as soon');
    pressed.resolve();
    expect(await running.exit).toBe(130);
    const listed = await cli(['--url', server.url, 'ps', '--all', '--json'], { dataDirectory: tempDirectory() });
    expect(JSON.parse(listed.stdout)).toMatchObject({ status: 'canceled', argv: ['sleep', '1000'] });
  });
});

describe('errand', () => {
  test('run --detach prints the id alone', async () => {
    const dataDirectory = tempDirectory();
    await startServer(dataDirectory);
    const ran = await cli(['run', '-d', '--', 'echo', 'hi'], { dataDirectory });
    expect(ran).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^cmd_\w{26}\n$/), stderr: '' });
    expect(await cli(['logs', '-f', ran.stdout.trim()], { dataDirectory })).toMatchObject({ exit: 0, stdout: 'hi\n' });
  });

  test('run --env passes a variable of ours on by its name, and no other', async () => {
    const ran = await cli(['run', '--env', 'TOKEN', '--env', 'A=b=c', '--', 'sh', '-c', 'echo "$TOKEN $A $OTHER"'], {
      dataDirectory: tempDirectory(),
      env: { TOKEN: 'secret', OTHER: 'other' },
    });
    expect(ran).toMatchObject({ exit: 0, stdout: 'secret b=c \n' });
  });

  test('cancel ends all that it can, and tells of the others', async () => {
    const dataDirectory = tempDirectory();
    await startServer(dataDirectory);
    const ids: string[] = [];
    for (const _ of [1, 2]) ids.push((await cli(['submit', '--', 'sleep', '1000'], { dataDirectory })).stdout.trim());
    const unknown = 'cmd_00000000000000000000000001';
    const canceled = await cli(['cancel', '--wait', ids[0] ?? '', unknown, ids[1] ?? ''], { dataDirectory });
    expect(canceled).toMatchObject({ exit: 125, stdout: ids.map((id) => `${id} canceled\n`).join('') });
    expect(canceled.stderr).toMatch(new RegExp(`no command ${unknown}`));
  });

  test.for<[string, string[], { code: string; detail?: RegExp }]>([
    ['words that are off', ['run', '--json', '--tiemout', '1'], { code: 'usage', detail: /--timeout/ }],
    ['nothing to run', ['run', '--json'], { code: 'usage', detail: /after --/ }],
    ['an id that is none', ['show', '--json', 'x'], { code: 'invalid-request', detail: /command id/ }],
    ['an id that is unknown', ['logs', '--json', 'cmd_00000000000000000000000001'], { code: 'not-found' }],
    [
      'no server',
      ['--url', 'http://127.0.0.1:9', 'ps', '--json'],
      { code: 'connection-failed', detail: /cannot be reached/ },
    ],
  ])('--json tells of %s in one line of JSON', async ([, args, { code, detail = /./ }]) => {
    const { stdout } = await cli(args, { dataDirectory: tempDirectory() });
    expect(JSON.parse(stdout)).toEqual({ type: 'error', code, detail: expect.stringMatching(detail) });
  });

  test.skipIf(!hasScript)('colours on a terminal, and not with NO_COLOR', async () => {
    const dataDirectory = tempDirectory();
    await cli(['run', '--', 'true'], { dataDirectory });
    const shown = async (env: Record<string, string>) => {
      const running = startCli(['ps', '--all'], { dataDirectory, terminal: true, env: { TERM: 'xterm', ...env } });
      await running.exit;
      return running.stdout().toString();
    };
    expect(await shown({})).toContain('\u001b[32msucceeded');
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }, { FORCE_COLOR: '0' }]) {
      expect(await shown(env)).not.toContain('\u001b');
    }
  });

  test.skipIf(!existsSync('/bin/bash'))('completes commands and options in bash', async () => {
    const dataDirectory = tempDirectory();
    const file = join(dataDirectory, 'completion');
    writeFileSync(file, (await cli(['completion', 'bash'], { dataDirectory })).stdout);
    const complete = (...words: string[]) =>
      spawnSync(
        '/bin/bash',
        [
          '-c',
          `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _errand; echo "\${COMPREPLY[@]}"`,
          '-',
          file,
          ...words,
        ],
        { encoding: 'utf8' },
      ).stdout.trim();
    expect(complete('errand', 'rep')).toBe('replay');
    expect(complete('errand', 'run', '--time')).toBe('--timeout');
    expect(complete('errand', 'run', '--', 'ech')).toBe('');
  });
});
