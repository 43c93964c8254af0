import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Client, makeClient } from '../../clients/sdk/client.ts';
import { sqliteStore } from '../../shared/store/sqlite/sqlite.ts';
import { makeTargetHealth } from '../../shared/store/target-health.ts';
import { cli, startCli, startServer } from '../support/cli.ts';
import { helpersOf, processesWith } from '../support/processes.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const linux = process.platform === 'linux';
const isRoot = process.getuid?.() === 0;
const sh = (script: string, over: Record<string, unknown> = {}) => ({ argv: ['/bin/sh', '-c', script], ...over });

/** Runs `task` for 0 … count − 1, so many at once. */
const inParallel = async (count: number, atOnce: number, task: (n: number) => Promise<void>): Promise<void> => {
  let next = 0;
  const worker = async () => {
    while (next < count) await task(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
};

const untilFinal = async (client: Client, id: string) => {
  for (;;) {
    const command = await client.get(id, { waitSeconds: 60 });
    if (command.endedAt) return command;
  }
};

describe('the embedded server does not start', () => {
  const failing = async (args: readonly string[], dataDirectory = tempDirectory()) => {
    const ran = await cli(['serve', '--port', '0', ...args], { dataDirectory });
    expect(ran.stdout).toBe('');
    expect(ran.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(ran.exit).not.toBe(0);
    return ran.stderr;
  };

  test.for(['0.0.0.0', '::', '192.0.2.1', 'example.com'])('on %s without TLS', async (host) => {
    expect(await failing(['--host', host])).toMatch(/without TLS/);
  });

  test('on a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    onTestFinished(() => void other.close());
    const { port } = other.address() as { port: number };
    expect(await failing(['--port', String(port)])).toMatch(/taken.*--port/);
  });

  test('twice on one data folder, and the first goes on', async () => {
    const dataDirectory = tempDirectory();
    const first = await startServer(dataDirectory);
    expect(await failing([], dataDirectory)).toMatch(new RegExp(`already runs on .*${first.url}.*--data`));
    expect(await makeClient({ url: first.url }).submit({ argv: ['true'] }, { waitSeconds: 60 })).toMatchObject({
      status: 'succeeded',
    });
  });

  test.skipIf(isRoot)('on a folder that is not writable', async () => {
    const folder = tempDirectory();
    chmodSync(folder, 0o500);
    expect(await failing(['--data', join(folder, 'data')])).toMatch(/--data/);
  });

  test('on a data folder that is a file', async () => {
    const dataDirectory = tempDirectory();
    await cli(['run', '--', 'true'], { dataDirectory });
    expect(await failing(['--data', join(dataDirectory, 'errand.db')])).toMatch(/cannot be made.*--data/);
  });

  test('on a store that is a folder', async () => {
    const dataDirectory = tempDirectory();
    mkdirSync(join(dataDirectory, 'errand.db'));
    expect(await failing([], dataDirectory)).toMatch(/cannot be opened/);
  });
});

describe('the embedded server', () => {
  test.for<[string, Record<string, string>, number]>([
    ['by its address', { host: '127.0.0.1:7070' }, 200],
    ['as localhost', { host: 'localhost:7070' }, 200],
    ['by a name that someone pointed here', { host: 'evil.example' }, 403],
    ['from another site’s page', { host: '127.0.0.1', origin: 'https://evil.example' }, 403],
    ['from a page whose name begins like ours', { host: '127.0.0.1', origin: 'http://localhost.evil.example' }, 403],
    ['from a page of its own', { host: '127.0.0.1', origin: 'http://127.0.0.1:7070' }, 200],
  ])('asked %s answers %s', async ([, headers, status]) => {
    const server = await startServer();
    const { port } = new URL(server.url);
    const asked = request({ host: '127.0.0.1', port, path: '/v1/commands', headers }).end();
    const [response] = await once(asked, 'response');
    response.resume();
    expect(response.statusCode).toBe(status);
  });

  test('stops in order: what runs is ended and told, and a command that waits runs after the next start', async () => {
    const dataDirectory = tempDirectory();
    const server = await startServer(dataDirectory);
    const client = makeClient({ url: server.url });
    const running = await client.submit(sh('echo ready; sleep 1000', { env: { MARK: dataDirectory } }));
    for await (const event of client.follow(running.id)) if (event.type === 'stdout') break;
    server.process.kill('SIGTERM');
    expect(await server.exit).toBe(0);
    if (linux) expect(processesWith(`MARK=${dataDirectory}`)).toEqual([]);
    const again = makeClient({ url: (await startServer(dataDirectory)).url });
    expect(await again.get(running.id)).toMatchObject({
      status: 'lost',
      stdout: 'ready\n',
      result: { reason: 'lost', stdoutBytes: 6 },
    });
  });

  test('runs commands at once after a start, though the one before found that it could not', async () => {
    const dataDirectory = tempDirectory();
    const first = await startServer(dataDirectory);
    first.process.kill('SIGTERM');
    await once(first.process, 'close');
    const store = sqliteStore({ file: join(dataDirectory, 'errand.db') });
    const now = Date.now();
    const condition = { state: 'down', since: now, why: 'full', good: 0, downUntil: now + 600_000, falls: 9 } as const;
    await makeTargetHealth(store).change('local', (before) => ({ ...before, condition }));
    await store.close();
    const { url } = await startServer(dataDirectory);
    const client = makeClient({ url });
    const { id } = await client.submit(sh('echo again'));
    expect(await client.get(id, { waitSeconds: 20 })).toMatchObject({ status: 'succeeded', stdout: 'again\n' });
  });

  test('serves 100 clients at once without an error of ours', async () => {
    const client = makeClient({ url: (await startServer()).url });
    const statuses = new Map<string, number>();
    await inParallel(2_000, 100, async (n) => {
      const command = await client.submit(sh(`echo ${n}`), { waitSeconds: 60 });
      expect(command.stdout).toBe(`${n}\n`);
      statuses.set(command.status, (statuses.get(command.status) ?? 0) + 1);
    });
    expect(Object.fromEntries(statuses)).toEqual({ succeeded: 2_000 });
  });

  test.skipIf(!linux)(
    'passes 1 GB through with the right bytes while its memory grows by less than 100 MB',
    async () => {
      const server = await startServer();
      const client = makeClient({ url: server.url });
      const rss = () =>
        Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.process.pid}/status`, 'utf8'))?.[1]) / 1024;
      await client.submit({ argv: ['true'] }, { waitSeconds: 60 });
      // A server that has served something: its code is compiled, its heap has its size for short-lived things.
      const { id: first } = await client.submit(sh('head -c 200000000 /dev/zero'));
      for await (const event of client.follow(first))
        if (event.type === 'end') expect(event.command.status).toBe('succeeded');
      const before = rss();
      let peak = before;
      const length = 1_000_000_000;
      const { id } = await client.submit(sh(`yes 0123456789abcde | head -c ${length}`));
      // A reader that stops reading halts nobody else.
      const stuck = await fetch(`${server.url}/v1/commands/${id}/output`, { headers: { accept: 'text/event-stream' } });
      const hash = createHash('sha256');
      let received = 0;
      for await (const event of client.follow(id)) {
        if (event.type !== 'stdout') continue;
        hash.update(event.bytes);
        received += event.bytes.length;
        peak = Math.max(peak, rss());
      }
      await stuck.body?.cancel();
      const expected = createHash('sha256');
      const piece = Buffer.alloc(16_000_000, '0123456789abcde\n');
      for (let at = 0; at < length; at += piece.length)
        expected.update(piece.subarray(0, Math.min(piece.length, length - at)));
      expect([received, hash.digest('hex')]).toEqual([length, expected.digest('hex')]);
      expect(peak - before).toBeLessThan(100);
      expect((await untilFinal(client, id)).result).toMatchObject({ stdoutBytes: length, droppedBytes: 0 });
      const tail = await client.readOutput(id, { stream: 'stdout', from: length - 32 });
      expect(await new Response(tail.body).text()).toBe('0123456789abcde\n0123456789abcde\n');
    },
  );
});

describe.skipIf(!linux)('killed with -9 while 1,000 commands are queued and running, and started again', () => {
  test('every acknowledged command ends, none runs twice, and none is lost without having run', async () => {
    const dataDirectory = tempDirectory();
    const ran = join(dataDirectory, 'ran');
    const first = await startServer(dataDirectory);
    const client = makeClient({ url: first.url });
    const acknowledged: string[] = [];
    // Every tenth may run again when it is lost, and says so in the file each time.
    const submit = async (n: number): Promise<void> => {
      const retry = n % 10 === 0 ? { retry: { maxAttempts: 3, on: ['lost' as const] } } : {};
      const { id } = await client.submit(
        sh(`echo ${n} >> ${ran}; sleep 0.5`, { env: { MARK: dataDirectory }, labels: { n: String(n) }, ...retry }),
      );
      acknowledged[n] = id;
    };
    await inParallel(1_000, 50, submit);
    const [someId = ''] = acknowledged;
    await untilFinal(client, someId);
    first.process.kill('SIGKILL');
    await once(first.process, 'close');
    const killedAt = new Date().toISOString();

    const again = makeClient({ url: (await startServer(dataDirectory)).url });
    const counts: Record<string, number> = {};
    const timesByNumber = new Map<number, number>();
    const commands = await Promise.all(acknowledged.map((id) => untilFinal(again, id)));
    for (const line of readFileSync(ran, 'utf8').trim().split('\n').map(Number)) {
      timesByNumber.set(line, (timesByNumber.get(line) ?? 0) + 1);
    }
    for (const [n, command] of commands.entries()) {
      counts[command.status] = (counts[command.status] ?? 0) + 1;
      const times = timesByNumber.get(n) ?? 0;
      const attempts = command.attempts.filter(({ startedAt }) => startedAt).length;
      expect(times).toBeLessThanOrEqual(attempts);
      if (command.status === 'succeeded') expect(times).toBeGreaterThanOrEqual(1);
      if (n % 10 === 0) expect(command.status).toBe('succeeded');
      else expect([attempts, ['succeeded', 'lost']]).toEqual([1, expect.arrayContaining([command.status])]);
    }
    // It was killed in the middle: some were running, and many had not started yet.
    expect(commands.filter(({ startedAt }) => (startedAt ?? '') > killedAt).length).toBeGreaterThan(100);
    expect(counts['lost'] ?? 0).toBeLessThanOrEqual(64);
    expect(commands).toHaveLength(1_000);
    expect(processesWith(`MARK=${dataDirectory}`)).toEqual([]);
  });

  test('with its helpers too, nothing that ran stays behind', async () => {
    const dataDirectory = tempDirectory();
    const server = await startServer(dataDirectory);
    const client = makeClient({ url: server.url });
    const { id } = await client.submit(
      sh('setsid sleep 1000 & echo ready; sleep 1000', { env: { MARK: dataDirectory } }),
    );
    for await (const event of client.follow(id)) if (event.type === 'stdout') break;
    const helpers = helpersOf(server.process.pid ?? 0);
    expect(helpers.length).toBeGreaterThan(0);
    for (const pid of helpers) process.kill(pid, 'SIGSTOP');
    server.process.kill('SIGKILL');
    for (const pid of helpers) process.kill(pid, 'SIGKILL');
    await once(server.process, 'close');
    expect(processesWith(`MARK=${dataDirectory}`).length).toBeGreaterThan(0);
    const again = makeClient({ url: (await startServer(dataDirectory)).url });
    expect(await untilFinal(again, id)).toMatchObject({ status: 'lost' });
    expect(processesWith(`MARK=${dataDirectory}`)).toEqual([]);
  });
});

describe('a client that follows', () => {
  test('goes on over a restart of the server, and gets every byte once', async () => {
    const dataDirectory = tempDirectory();
    const first = await startServer(dataDirectory);
    const { port } = new URL(first.url);
    const client = makeClient({ url: first.url });
    const retry = { maxAttempts: 2, on: ['lost' as const] };
    const { id } = await client.submit(
      sh('echo "attempt $ERRAND_ATTEMPT"; case $ERRAND_ATTEMPT in *-2) ;; *) sleep 1000 ;; esac', { retry }),
    );
    const events: string[] = [];
    let restarted: Promise<unknown> | undefined;
    for await (const event of client.follow(id)) {
      if (event.type === 'stdout') events.push(Buffer.from(event.bytes).toString());
      if (event.type === 'stdout' && !restarted) {
        first.process.kill('SIGKILL');
        await once(first.process, 'close');
        const next = startCli(['serve', '--port', port], { dataDirectory });
        restarted = next.says('Errand serves at');
      }
      if (event.type === 'end') expect(event.command.status).toBe('succeeded');
    }
    expect(events).toEqual([`attempt ${id}-1\n`, `attempt ${id}-2\n`]);
    expect(existsSync(join(dataDirectory, 'work', `${id}-2`))).toBe(false);
  });
});
