import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CANARIES, formsOf } from '../support/canaries/values.ts';
import { cli, startServer } from '../support/cli.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const names = Object.keys(CANARIES) as (keyof typeof CANARIES)[];
const FORMS = names.flatMap((name) =>
  [...formsOf(CANARIES[name])].map(([how, form]) => ({ name: `${name} as ${how}`, form })),
);

/** Prints every secret in every form, whole and byte by byte, on both streams. */
const PRINTER = `
const { writeSync } = require('node:fs');
const put = (bytes) => {
  const whole = Buffer.from(bytes);
  for (let at = 0; at < whole.length; ) {
    try { at += writeSync(1, whole, at); } catch (error) { if (error.code !== 'EAGAIN') throw error; }
  }
  if (whole.length > 200) return;
  for (const byte of Buffer.concat([Buffer.from('|'), whole])) writeSync(2, Buffer.of(byte));
};
for (const name of process.env.NAMES.split(' ')) {
  const variable = Buffer.from(process.env[name]);
  const forms = name === 'BYTES' ? [variable, Buffer.from(process.env[name], 'base64')] : [variable];
  for (const bytes of forms) {
    put('\\n' + name + ' '); put(bytes); put('\\n');
    put(bytes.toString('base64') + '\\n');
    put(bytes.toString('base64url') + '\\n');
    for (const before of ['x', 'xy', 'xyz']) put(Buffer.from(before + bytes.toString('latin1'), 'latin1').toString('base64') + '\\n');
    put(bytes.toString('hex') + '\\n');
    put(bytes.toString('hex').toUpperCase() + '\\n');
    put(encodeURIComponent(bytes.toString()) + '\\n');
    put(JSON.stringify(bytes.toString()) + '\\n');
    for (const line of bytes.toString().split('\\n')) put('<' + line + '>\\n');
  }
}
put('PRINTED-ALL\\n');
`;

const filesIn = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));

describe('a planted secret', () => {
  test('is found nowhere: not in the data folder, the logs, the answers or the events', {
    timeout: 120_000,
  }, async () => {
    const dataDirectory = tempDirectory();
    const server = await startServer(dataDirectory);
    const heard: Buffer[] = [];
    const request = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
      const response = await fetch(`${server.url}${path}`, {
        method,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const bytes = Buffer.from(await response.arrayBuffer());
      heard.push(Buffer.from(JSON.stringify([...response.headers])), bytes);
      // Live output comes as base 64.
      for (const [, data = ''] of bytes.toString().matchAll(/"data":"([A-Za-z0-9+/=]*)"/g)) {
        heard.push(Buffer.from(data, 'base64'));
      }
      return { status: response.status, text: bytes.toString() };
    };
    const submit = async (argv: readonly string[], over: object = {}, wait = 'wait=60') => {
      const secrets = Object.fromEntries(names.map((name) => [name, `secret:${name}`]));
      const body = { argv, secrets, env: { NAMES: names.join(' ') }, ...over };
      return JSON.parse((await request('POST', '/v1/commands', body, { prefer: wait })).text);
    };
    const print = (then = '') => [process.execPath, '-e', PRINTER + then];

    for (const [name, bytes] of Object.entries(CANARIES)) {
      const { status } = await request('PUT', `/v1/secrets/${name}`, { valueBase64: bytes.toString('base64') });
      expect(status).toBe(200);
      // What is refused repeats nothing.
      const text = bytes.toString('base64');
      await request('PUT', `/v1/secrets/${name}`, { valueBase64: `${text}!`, note: text });
      await request('PUT', `/v1/secrets/${name}`, `{"valueBase64": "${text}"`);
    }
    await request('GET', '/v1/secrets');

    const done = await submit(print());
    expect(done).toMatchObject({ status: 'succeeded', stdout: expect.stringContaining('PRINTED-ALL') });
    expect(done.result.redactions).toBeGreaterThan(100);
    expect(await submit(print('process.exit(3)'))).toMatchObject({ status: 'failed', result: { exitCode: 3 } });
    expect(await submit(print('throw new Error(process.env.ASCII)'))).toMatchObject({ status: 'failed' });
    expect(await submit(print('setInterval(() => {}, 1000)'), { timeoutSeconds: 2 })).toMatchObject({
      status: 'timed_out',
    });
    expect(await submit(['/bin/sh', '-c', '"$ASCII"; exec "$EIGHT"'])).toMatchObject({ status: 'failed' });
    expect(await submit(['/bin/sh', '-c', 'printf %s "$PEM" | cat; env > copy; cat copy; set'])).toMatchObject({
      status: 'succeeded',
    });

    const { id } = await submit(print('setInterval(() => {}, 1000)'), {}, 'wait=0');
    const live = request('GET', `/v1/commands/${id}/output`, undefined, { accept: 'text/event-stream' });
    for (;;) {
      const { text } = await request('GET', `/v1/commands/${id}`);
      if (text.includes('PRINTED-ALL')) break;
    }
    await request('POST', `/v1/commands/${id}/cancel`);
    await live;
    expect(
      JSON.parse((await request('GET', `/v1/commands/${id}`, undefined, { prefer: 'wait=60' })).text),
    ).toMatchObject({
      status: 'canceled',
    });
    for (const { id: one } of JSON.parse((await request('GET', '/v1/commands')).text).items) {
      await request('GET', `/v1/commands/${one}/output`);
      await request('GET', `/v1/commands/${one}/output`, undefined, { accept: 'text/event-stream' });
    }
    await request('DELETE', '/v1/secrets/ASCII');
    await submit(print());

    // What is searched for is found where it is: said openly, it is in the store, the answers and the events.
    const open = `openly-${randomBytes(8).toString('hex')}`;
    await submit([process.execPath, '-e', `console.log('${open}')`], { secrets: {} });
    server.process.kill('SIGTERM');
    await server.exit;

    const places = [
      ...filesIn(dataDirectory).map((file) => ({ place: file.slice(dataDirectory.length), bytes: readFileSync(file) })),
      { place: 'its logs', bytes: Buffer.concat([server.stdout(), Buffer.from(server.stderr())]) },
      ...heard.map((bytes, n) => ({ place: `answer ${n}`, bytes })),
    ];
    expect(places.filter(({ bytes }) => bytes.includes(open)).map(({ place }) => place)).toEqual(
      expect.arrayContaining([expect.stringContaining('errand.db'), expect.stringContaining('answer')]),
    );
    const hits = places.flatMap(({ place, bytes }) =>
      FORMS.filter(({ form }) => bytes.includes(form)).map(({ name }) => `${name} in ${place}`),
    );
    expect(hits).toEqual([]);
  });
});

describe('errand secret', () => {
  /** In a folder that nothing looks into. */
  const pemFile = () => {
    const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'key.pem');
    writeFileSync(file, CANARIES.PEM);
    return file;
  };

  test('stores from stdin and from a file, lists, gives to a command, and removes', async () => {
    const dataDirectory = tempDirectory();
    const errand = (args: readonly string[], input?: string) =>
      cli(args, { dataDirectory, ...(input === undefined ? {} : { input }) });
    expect(await errand(['secret', 'set', 'token'], 'hunter2-long\n')).toMatchObject({
      exit: 0,
      stdout: 'token version 1\n',
    });
    expect(await errand(['secret', 'set', 'pem', '--from-file', pemFile()])).toMatchObject({ exit: 0 });
    expect(await errand(['secret', 'set', 'pin'], '123\n')).toMatchObject({
      exit: 0,
      stderr: expect.stringContaining('not masked'),
    });
    const listed = await errand(['secret', 'list', '--json']);
    expect(
      listed.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toMatchObject([
      { name: 'pem', bytes: CANARIES.PEM.length },
      { name: 'pin', bytes: 3 },
      { name: 'token', bytes: 12 },
    ]);
    expect((await errand(['secret', 'list'])).stdout).toMatch(/^NAME +VERSION/);
    const ran = await errand([
      'run',
      '-n',
      '--secret',
      'TOKEN=token',
      '--',
      '/bin/sh',
      '-c',
      'printf %s "$TOKEN" | wc -c; echo "$TOKEN"',
    ]);
    expect(ran).toMatchObject({ exit: 0, stdout: '12\n***\n' });
    expect(await errand(['secret', 'remove', 'token', 'pin'])).toMatchObject({ exit: 0 });
    expect((await errand(['run', '-n', '--secret', 'TOKEN=token', '--', 'true'])).stderr).toContain('no secret token');
  });

  test('takes no value on the command line, and none from a file that is not there', async () => {
    const dataDirectory = tempDirectory();
    expect(await cli(['secret', 'set', 'token', 'the-value'], { dataDirectory })).toMatchObject({ exit: 2 });
    const absent = await cli(['secret', 'set', 'token', '--from-file', '/nowhere/at-all'], { dataDirectory });
    expect(absent.exit).not.toBe(0);
    expect(absent.stderr).toContain('no such file');
  });
});
