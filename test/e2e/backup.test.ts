import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Client, makeClient } from '../../clients/sdk/client.ts';
import { DATABASE, LEFT_OUT, OBJECTS, PLAIN_FILES, SECRETS } from '../../local/backup/members.ts';
import { cli, startServer } from '../support/cli.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { GITHUB_PUSH, githubHeaders } from '../support/webhooks.ts';

const sh = (script: string, over: Record<string, unknown> = {}) => ({ argv: ['/bin/sh', '-c', script], ...over });
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const outputOf = async (client: Client, id: string): Promise<string> => {
  const { body } = await client.readOutput(id);
  return sha256(Buffer.from(await new Response(body).arrayBuffer()));
};

const run = async (dataDirectory: string, ...args: readonly string[]): Promise<string> => {
  const ran = await cli(args, { dataDirectory });
  expect(ran.stderr.includes('Error:') ? ran.stderr : '').toBe('');
  expect(ran.exit, ran.stderr).toBe(0);
  return ran.stdout;
};

/** What commands did in the world outside, where no restore reaches. */
const deedsIn = (file: string): string[] => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []);

/** Works on a server until it is told to stop: what it acknowledged, and the output of what has ended. */
const loadOf = (client: Client, deeds: string) => {
  const acknowledged = new Set<string>();
  const ended = new Map<string, string>();
  let isOver = false;
  const worker = async (n: number): Promise<void> => {
    for (let i = 0; !isOver; i++) {
      const bytes = i % 5 === 0 ? 200_000 : 40;
      const script = `echo did ${n}-${i} >> ${deeds}; head -c ${bytes} /dev/urandom`;
      const { id } = await client.submit(sh(script));
      acknowledged.add(id);
      if (i % 2 === 0) continue;
      await client.get(id, { waitSeconds: 60 });
      ended.set(id, await outputOf(client, id));
    }
  };
  const working = Promise.all(Array.from({ length: 6 }, (_, n) => worker(n).catch(() => {})));
  return {
    seen: () => ({ acknowledged: [...acknowledged], ended: [...ended] }),
    async stop() {
      isOver = true;
      await working;
    },
  };
};

describe('the drill: a server is backed up while it works, is killed, and its folder is gone', () => {
  test('what was acknowledged before is there after a restore, byte for byte; keys and secrets open; nothing runs again', async () => {
    const folder = tempDirectory();
    const dataDirectory = join(folder, 'data');
    const deeds = join(folder, 'deeds');
    const kept = join(folder, 'kept.json');
    const go = join(folder, 'go');
    const server = await startServer(dataDirectory, ['--concurrency', '4']);
    const client = makeClient({ url: server.url });
    await client.putSecret('token', new TextEncoder().encode('s3cr3t value'));
    const { id: member } = await client.addMember({ name: 'ci', role: 'operator' });
    const { key } = await client.createKey({ name: 'ci', member });
    // One runs and many wait when the backup is made; in the world outside they go on afterwards.
    const { id: running } = await client.submit(
      sh(`echo began; until [ -e ${go} ]; do sleep 0.1; done; echo did run >> ${deeds}`),
    );
    for await (const event of client.follow(running)) if (event.type === 'stdout') break;
    const load = loadOf(client, deeds);
    while (load.seen().ended.length < 30) await new Promise((resolve) => setTimeout(resolve, 20));
    const waiting: string[] = [];
    for (let n = 0; n < 60; n++) {
      const { id } = await client.submit(sh(`sleep 2; echo did waiting-${n} >> ${deeds}`, { priority: 'low' }));
      waiting.push(id);
    }
    writeFileSync(kept, await run(dataDirectory, 'audit', 'checkpoint'));
    const before = load.seen();
    const file = join(tempDirectory(), 'backup.tar');
    expect(await run(dataDirectory, 'backup', file)).toMatch(/ commands \(\d+ unfinished\) as of .*, verified/);
    // Some of what waited runs now, and none of it may be repeated later.
    await load.stop();
    writeFileSync(go, '');
    const hasGoneOn = (): boolean =>
      deedsIn(deeds).includes('did run') && deedsIn(deeds).filter((deed) => deed.includes('waiting-')).length >= 5;
    while (!hasGoneOn()) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    server.process.kill('SIGKILL');
    await server.exit;
    rmSync(dataDirectory, { recursive: true });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const done = deedsIn(deeds);
    expect(done).toContain('did run');

    expect(await run(dataDirectory, 'backup', 'verify', file)).toMatch(/^intact: /);
    const restored = JSON.parse(await run(dataDirectory, 'restore', file, '--json'));
    expect(restored.lost).toBeGreaterThan(5);
    expect(restored).toMatchObject({ retried: 0, waiting: 0 });
    const again = makeClient({ url: (await startServer(dataDirectory)).url });
    const now = new Map<string, { endedAt: string | null; status: string }>();
    for await (const command of again.list()) now.set(command.id, command);
    expect(before.acknowledged.filter((id) => !now.has(id))).toEqual([]);
    expect([...now.values()].filter(({ endedAt }) => endedAt === null)).toEqual([]);
    expect(await again.get(running)).toMatchObject({ status: 'lost', stdout: 'began\n', result: { reason: 'lost' } });
    for (const [id, digest] of before.ended) expect(await outputOf(again, id)).toBe(digest);
    expect(await again.run(sh('echo "$T" | tr a-z A-Z', { secrets: { T: 'secret:token' } }))).toMatchObject({
      stdout: 'S3CR3T VALUE\n',
    });
    const asMember = makeClient({ url: again.url, apiKey: key });
    expect((await asMember.run({ argv: ['echo', 'mine'] })).stdout).toBe('mine\n');
    expect(await run(dataDirectory, 'audit', 'verify', '--checkpoint', kept)).toMatch(/^intact: /);
    expect(await run(dataDirectory, 'audit', 'list', '--type', 'installation.restored')).toMatch(/lost=\d+/);
    expect(deedsIn(deeds)).toEqual(done);

    // What is lost is run again by whoever says so.
    const [lost] = waiting.filter((id) => now.get(id)?.status === 'lost');
    expect((await again.replay(lost as string, {}, { waitSeconds: 60 })).status).toBe('succeeded');
    expect(deedsIn(deeds)).toHaveLength(done.length + 1);
  });

  test('and a log that went on after the backup is told from the restored one by a checkpoint of then', async () => {
    const dataDirectory = join(tempDirectory(), 'data');
    const kept = join(tempDirectory(), 'kept.json');
    const file = join(tempDirectory(), 'backup.tar');
    await run(dataDirectory, 'run', '--', 'true');
    await run(dataDirectory, 'backup', file);
    for (let n = 0; n < 3; n++) await run(dataDirectory, 'run', '--', 'true');
    writeFileSync(kept, await run(dataDirectory, 'audit', 'checkpoint'));
    rmSync(dataDirectory, { recursive: true });
    await run(dataDirectory, 'restore', file);
    expect(await run(dataDirectory, 'audit', 'verify')).toMatch(/^intact/);
    const verdict = await cli(['audit', 'verify', '--checkpoint', kept], { dataDirectory });
    expect(verdict.exit).not.toBe(0);
    expect(verdict.stdout).toMatch(/NOT INTACT.*kept checkpoint/);
  });

  test('with --queued run, what waited then runs', async () => {
    const dataDirectory = join(tempDirectory(), 'data');
    const file = join(tempDirectory(), 'backup.tar');
    const id = (await run(dataDirectory, 'submit', '--', 'echo', 'at last')).trim();
    await run(dataDirectory, 'backup', file);
    rmSync(dataDirectory, { recursive: true });
    expect(JSON.parse(await run(dataDirectory, 'restore', file, '--queued', 'run', '--json'))).toMatchObject({
      lost: 0,
      waiting: 1,
    });
    const client = makeClient({ url: (await startServer(dataDirectory)).url });
    expect(await client.get(id, { waitSeconds: 60 })).toMatchObject({ status: 'succeeded', stdout: 'at last\n' });
  });
});

describe('backups beside a server', () => {
  test('are whole while inputs and secrets come and go', async () => {
    const folder = tempDirectory();
    const server = await startServer(join(folder, 'data'));
    const client = makeClient({ url: server.url });
    await client.putSecret('token', new TextEncoder().encode('value number 0'));
    let isOver = false;
    const rotate = async (): Promise<void> => {
      for (let n = 0; !isOver; n++) {
        await client.putSecret('token', new TextEncoder().encode(`value number ${n}`));
        // Often, and not so often that no copy of the store is ever up to date.
        for (let pause = 0; pause < 5; pause++) await client.run({ argv: ['true'] });
      }
    };
    const feed = async (): Promise<void> => {
      while (!isOver) {
        const { id } = await client.submit({ argv: ['wc', '-c'], stdin: 'open' });
        for (let part = 0; part < 4; part++) await client.writeStdin(id, randomBytes(100_000), part * 100_000);
        for (let pause = 0; pause < 3; pause++) await client.run({ argv: ['true'] });
        await client.endStdin(id);
        expect(await client.get(id, { waitSeconds: 60 })).toMatchObject({ stdout: '400000\n' });
      }
    };
    const churning = Promise.all([rotate(), feed(), feed()]);
    for (let n = 0; n < 3; n++) {
      const file = join(tempDirectory(), `${n}.tar`);
      const copy = join(tempDirectory(), 'copy');
      await run(join(folder, 'data'), 'backup', file);
      await run(copy, 'restore', file);
      expect(await run(copy, 'run', '--secret', 'T=token', '--', 'sh', '-c', 'echo "$T" | tr a-z A-Z')).toMatch(
        /^VALUE NUMBER \d+\n$/,
      );
    }
    isOver = true;
    await churning;
  });

  test('know who signs: a delivery that its sender signs is taken where it was restored, and a webhook signs on', async () => {
    const folder = tempDirectory();
    const { url } = await startServer(join(folder, 'data'));
    const client = makeClient({ url });
    const trigger = await client.createTrigger({ signature: { kind: 'github' }, command: { argv: ['true'] } });
    const webhook = await client.createWebhook({ url: 'https://localhost/', events: ['*'], enabled: false });
    const file = join(tempDirectory(), 'b.tar');
    const copy = join(tempDirectory(), 'copy');
    await run(join(folder, 'data'), 'backup', file);
    await run(copy, 'restore', file);
    const restored = await startServer(copy);
    const { body } = GITHUB_PUSH;
    const deliver = (secret: string) =>
      fetch(`${restored.url}${trigger.path}`, { method: 'POST', headers: githubHeaders(body, {}, secret), body });
    expect((await deliver('another secret')).status).toBe(404);
    expect((await deliver(trigger.secret ?? '')).status).toBe(202);
    // Not for want of its key: the address is one of this machine.
    const tried = await makeClient({ url: restored.url }).testWebhook(webhook.id);
    expect(tried).toMatchObject({ delivered: false, try: { fault: 'address' } });
  });

  test('have all that a server puts into its folder, or name it as of no use elsewhere', async () => {
    const folder = tempDirectory();
    const dataDirectory = join(folder, 'data');
    const server = await startServer(dataDirectory);
    const client = makeClient({ url: server.url });
    await client.putSecret('token', new TextEncoder().encode('value'));
    await client.run(sh('head -c 100000 /dev/zero'));
    await client.readCheckpoints(1);
    appendFileSync(join(dataDirectory, 'targets.json'), '{"targets": []}');
    const known = new Set([DATABASE, OBJECTS, SECRETS, ...PLAIN_FILES, ...LEFT_OUT]);
    expect(readdirSync(dataDirectory).filter((name) => !known.has(name))).toEqual([]);
  });

  test('go to a pipe, of which a restore makes the same folder', async () => {
    const folder = tempDirectory();
    const dataDirectory = join(folder, 'data');
    await run(dataDirectory, 'run', '--', 'echo', 'hello');
    const copy = join(tempDirectory(), 'copy');
    const piped = await cli(['backup', '-', '--without-keys'], { dataDirectory });
    expect(piped.stderr).toMatch(/the keys are not/);
    const restored = await cli(['restore', '-', '--keys', dataDirectory], { dataDirectory: copy, input: piped.bytes });
    expect(restored.exit, restored.stderr).toBe(0);
    expect(await run(copy, 'logs', 'last')).toBe('hello\n');
  });
});
