import { fileURLToPath } from 'node:url';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { describe, expect, test } from 'vitest';
import { makeClient } from '../../clients/sdk/client.ts';
import { cli, startCli, startServer } from '../support/cli.ts';
import { type Agent, connectAgent, connectByHttp, REVISIONS, type Revision } from '../support/mcp.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const ERRAND = fileURLToPath(new URL('../../clients/cli/errand.js', import.meta.url));

const connectByStdio = (revision: Revision, env: Record<string, string> = {}): Promise<Agent> => {
  const { PATH = '', HOME = '' } = process.env;
  const folder = { ERRAND_DATA: tempDirectory() };
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [ERRAND, 'mcp'],
    env: { PATH, HOME, ...folder, ...env },
    stderr: 'ignore',
  });
  return connectAgent(transport, revision);
};

const ways = {
  'over HTTP, by a server': async (revision: Revision) => connectByHttp((await startServer()).url, { revision }),
  'over stdio, without a server': (revision: Revision) => connectByStdio(revision),
  'over stdio, by a server': async (revision: Revision) =>
    connectByStdio(revision, { ERRAND_URL: (await startServer()).url }),
};
const sh = (script: string) => ({ argv: ['/bin/sh', '-c', script] });
const CASES = Object.entries(ways).flatMap(([way, open]) => REVISIONS.map((revision) => ({ way, open, revision })));

describe.for(CASES)('$way, in revision $revision', ({ open, revision }) => {
  test('a command longer than the client’s patience comes back exact', async () => {
    const { client, call } = await open(revision);
    expect(client.getNegotiatedProtocolVersion()).toBe(revision);
    const timeout = 2_000;
    const script = 'i=0; while [ $i -lt 5 ]; do echo line $i; sleep 1; i=$((i+1)); done; echo last >&2; exit 7';
    const args = { ...sh(script), idempotencyKey: 'long' };
    // The client gives up on this answer; the command knows nothing of that.
    await expect(call('run_command', args, { timeout })).rejects.toThrow(/timed out/i);
    let { data } = await call('run_command', { ...args, waitSeconds: 1 }, { timeout });
    expect(data).toMatchObject({ repeated: true, finished: false, next: expect.stringContaining(data.id) });
    for (let calls = 0; !data['finished'] && calls < 30; calls++) {
      ({ data } = await call('wait_command', { id: data.id, waitSeconds: 1 }, { timeout }));
    }
    expect(data).toMatchObject({
      ...{ status: 'failed', exitCode: 7 },
      stdout: { text: 'line 0\nline 1\nline 2\nline 3\nline 4\n', omittedBytes: 0 },
      stderr: { text: 'last\n' },
    });
  });

  test('whoever asked for it is told that a command goes on, by time', async () => {
    const { call } = await open(revision);
    const told: number[] = [];
    const { data } = await call('run_command', sh('sleep 6; echo done'), {
      onprogress: ({ progress, message }) => {
        expect(message).toMatch(/^cmd_\w+ is running, after \d+ s of waiting$/);
        told.push(progress);
      },
    });
    expect(data).toMatchObject({ exitCode: 0, stdout: { text: 'done\n' } });
    expect(told).toEqual([5]);
  });
});

test('a command goes on when its request is taken back, and is canceled only where that was asked for', async () => {
  const { url } = await startServer();
  const { call } = await connectByHttp(url);
  const errand = makeClient({ url });
  const start = async (label: string, more = {}): Promise<string> => {
    const taken = new AbortController();
    const submission = { ...sh('sleep 60'), labels: { case: label }, ...more };
    const running = call('run_command', submission, { signal: taken.signal });
    running.catch(() => {});
    for (;;) {
      for await (const { id } of errand.list({ label: `case:${label}`, status: 'running' })) {
        taken.abort();
        await expect(running).rejects.toThrow();
        return id;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const plain = await start('plain');
  const asked = await start('asked', { cancelWithRequest: true });
  expect(await errand.get(asked, { waitSeconds: 30 })).toMatchObject({ status: 'canceled' });
  expect(await errand.get(plain)).toMatchObject({ status: 'running', cancelRequestedAt: null });
  await errand.cancel(plain);
});

test('errand mcp ends with its input, and with it what it runs itself', async () => {
  const { client, call } = await connectByStdio('2026-07-28');
  const { data } = await call('run_command', { ...sh('sleep 60'), waitSeconds: 1 });
  expect(data).toMatchObject({ finished: false });
  const began = Date.now();
  await client.close();
  expect(Date.now() - began).toBeLessThan(15_000);
});

const handshake = [
  {
    ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'pipe', version: '1' } },
  },
  { jsonrpc: '2.0', method: 'notifications/initialized' },
];
const calling = (id: number, script: string) => ({
  ...{ jsonrpc: '2.0', id, method: 'tools/call' },
  params: { name: 'run_command', arguments: sh(script) },
});
const toLines = (messages: readonly object[]) => messages.map((message) => `${JSON.stringify(message)}\n`).join('');

interface Line {
  readonly id: number;
  readonly result: { readonly structuredContent?: object };
}
const answersIn = (stdout: string): readonly Line[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
    .toSorted((a, b) => a.id - b.id);

test.for([
  ['by a server', async () => ({ ERRAND_URL: (await startServer()).url })],
  ['without a server', async () => ({})],
] as const)('%s, whoever pipes requests in has each answer', async ([, open]) => {
  const input = toLines([...handshake, calling(2, 'sleep 1; echo slow'), calling(3, 'echo quick')]);
  const { exit, stdout, stderr } = await cli(['mcp'], { dataDirectory: tempDirectory(), env: await open(), input });
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
  expect(answersIn(stdout)).toMatchObject([
    { id: 1, result: { protocolVersion: '2025-11-25' } },
    { id: 2, result: { structuredContent: { exitCode: 0, stdout: { text: 'slow\n' } } } },
    { id: 3, result: { structuredContent: { exitCode: 0, stdout: { text: 'quick\n' } } } },
  ]);
});

test('told to stop while a call is in flight, it answers that one first', async () => {
  const { url } = await startServer();
  const dataDirectory = tempDirectory();
  const started = startCli(['mcp'], { dataDirectory, env: { ERRAND_URL: url }, stdin: 'pipe' });
  started.process.stdin?.write(toLines([...handshake, calling(2, 'sleep 2; echo slow')]));
  await started.says('"id":1');
  const errand = makeClient({ url });
  const isRunning = async () => {
    for await (const _ of errand.list({ status: 'running' })) return true;
    return false;
  };
  await expect.poll(isRunning, { timeout: 30_000 }).toBe(true);
  started.process.kill('SIGTERM');
  expect(await started.exit).toBe(0);
  expect(answersIn(started.stdout().toString())[1]).toMatchObject({
    id: 2,
    result: { structuredContent: { exitCode: 0, stdout: { text: 'slow\n' } } },
  });
});
