import { describe, expect, test } from 'vitest';
import type { CommandList, CommandView, StdinAccepted } from '../../shared/contract/schemas.ts';
import { openErrand, problemOf, sh } from '../support/errand.ts';

describe('submitting', () => {
  test('answers 202 with the command and where it is, and it runs', async () => {
    const errand = await openErrand();
    const response = await errand.request('POST', '/v1/commands', { argv: ['true'] });
    const command = (await response.json()) as CommandView;
    expect([response.status, response.headers.get('location')]).toEqual([202, `/v1/commands/${command.id}`]);
    expect(await errand.get(command.id, 60)).toMatchObject({
      status: 'succeeded',
      result: { exitCode: 0, reason: 'exit' },
    });
  });

  test('with Prefer: wait answers 200 once it has ended', async () => {
    const errand = await openErrand();
    const response = await errand.request('POST', '/v1/commands', sh('echo out; echo err >&2; exit 7'), {
      prefer: 'wait=60',
    });
    expect([response.status, response.headers.get('preference-applied')]).toEqual([200, 'wait=60']);
    expect(await response.json()).toMatchObject({
      status: 'failed',
      target: 'local',
      stdout: 'out\n',
      stderr: 'err\n',
      outputTruncated: false,
      result: { exitCode: 7, signal: null, reason: 'exit', stdoutBytes: 4, stderrBytes: 4, isolation: 'none' },
      attempts: [{ number: 1, status: 'failed' }],
      replayOf: null,
    });
  });

  test('with Prefer: wait answers 202 when it has not ended in time', async () => {
    const errand = await openErrand();
    const response = await errand.request('POST', '/v1/commands', sh('sleep 1000'), {
      prefer: 'respond-async, wait=0',
    });
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({ result: null });
  });

  test('runs a script with the shell that was named', async () => {
    const errand = await openErrand();
    expect(await errand.submit({ script: 'x=4; echo $((x * 2)) | tr 8 h' })).toMatchObject({
      stdout: 'h\n',
      shell: '/bin/sh',
    });
    expect(await errand.submit({ script: 'print(40 + 2)', shell: '/usr/bin/python3' })).toMatchObject({
      status: expect.any(String),
    });
  });

  test('gives the command its input, as text or as bytes', async () => {
    const errand = await openErrand();
    expect(await errand.submit({ argv: ['cat'], stdin: 'héllo' })).toMatchObject({ stdout: 'héllo', stdin: 'fixed' });
    const bytes = Buffer.from([0, 255, 10, 195]);
    const { id } = await errand.submit({ argv: ['cat'], stdinBase64: bytes.toString('base64') });
    const output = await errand.request('GET', `/v1/commands/${id}/output`);
    expect(Buffer.from(await output.arrayBuffer())).toEqual(bytes);
  });

  test('never shows what a variable holds', async () => {
    const errand = await openErrand();
    const command = await errand.submit({ argv: ['true'], env: { TOKEN: 'hunter2' } });
    expect(command.envNames).toEqual(['TOKEN']);
    expect(JSON.stringify(await errand.get(command.id))).not.toContain('hunter2');
  });

  test('stops a command at its run time-out, and says so', async () => {
    const errand = await openErrand();
    expect(await errand.submit(sh('sleep 1000', { timeoutSeconds: 1 }))).toMatchObject({
      status: 'timed_out',
      result: { reason: 'timeout', signal: 'SIGTERM' },
    });
  });

  test('retries as the caller asked, and tells of every attempt', async () => {
    const errand = await openErrand();
    const file = `${errand.dataDirectory}/tries`;
    const command = await errand.submit(
      sh(`echo x >> ${file}; [ $(wc -l < ${file}) -ge 2 ] || exit 1; echo done`, {
        retry: { maxAttempts: 3, on: ['nonzero-exit'] },
      }),
    );
    expect(command).toMatchObject({
      status: 'succeeded',
      stdout: 'done\n',
      attempts: [
        { number: 1, status: 'failed', result: { exitCode: 1 } },
        { number: 2, status: 'succeeded', result: { exitCode: 0 } },
      ],
    });
  });
});

describe('an idempotency key', () => {
  test('used 50 times at once gives one command and the same answer', async () => {
    const errand = await openErrand();
    const file = `${errand.dataDirectory}/ran`;
    const send = () => errand.request('POST', '/v1/commands', sh(`echo ran >> ${file}`), { 'idempotency-key': 'once' });
    const responses = await Promise.all(Array.from({ length: 50 }, send));
    const ids = await Promise.all(responses.map(async (response) => ((await response.json()) as CommandView).id));
    expect(new Set(ids).size).toBe(1);
    expect(responses.map(({ status }) => status)).toEqual(Array(50).fill(202));
    expect(responses.filter(({ headers }) => headers.get('idempotent-replayed') === 'true')).toHaveLength(49);
    await errand.get(ids[0] as string, 60);
    expect(await errand.submit(sh(`wc -l < ${file}`))).toMatchObject({ stdout: '1\n' });
  });

  test('used with another body is refused, whatever the order of its fields was', async () => {
    const errand = await openErrand();
    const key = { 'idempotency-key': 'k', prefer: 'wait=60' };
    const first = await errand.submit({ argv: ['true'], priority: 'high' }, key);
    expect((await errand.submit({ priority: 'high', argv: ['true'] }, key)).id).toBe(first.id);
    const other = await errand.request('POST', '/v1/commands', { argv: ['false'] }, key);
    expect([other.status, (await problemOf(other)).code]).toEqual([422, 'idempotency-mismatch']);
  });

  test('works for replays too, and apart from submissions of the same body', async () => {
    const errand = await openErrand();
    const first = await errand.submit({ argv: ['true'] });
    const replay = async () =>
      (await (
        await errand.request('POST', `/v1/commands/${first.id}/replay`, {}, { 'idempotency-key': 'r' })
      ).json()) as CommandView;
    expect((await replay()).id).toBe((await replay()).id);
  });
});

describe('listing', () => {
  test('goes newest first, page after page, and ends', async () => {
    const errand = await openErrand();
    const ids: string[] = [];
    for (let n = 0; n < 7; n++) ids.push((await errand.submit({ argv: ['true'] })).id);
    const seen: string[] = [];
    let cursor = '';
    for (;;) {
      const page = (await (await errand.request('GET', `/v1/commands?limit=3${cursor}`)).json()) as CommandList;
      seen.push(...page.items.map(({ id }) => id));
      if (page.nextCursor === undefined) break;
      cursor = `&cursor=${page.nextCursor}`;
    }
    expect(seen).toEqual(ids.toReversed());
  });

  test('filters by status, label and target', async () => {
    const errand = await openErrand();
    const good = await errand.submit({ argv: ['true'], labels: { team: 'a', 'x.y/z': 'b:c' } });
    const bad = await errand.submit({ argv: ['false'], labels: { team: 'b' } });
    const find = async (query: string) =>
      ((await (await errand.request('GET', `/v1/commands?${query}`)).json()) as CommandList).items.map(({ id }) => id);
    expect(await find('status=succeeded')).toEqual([good.id]);
    expect(await find('label=team:b')).toEqual([bad.id]);
    expect(await find(`label=${encodeURIComponent('x.y/z:b:c')}`)).toEqual([good.id]);
    expect(await find('target=local&status=failed')).toEqual([bad.id]);
    expect(await find('target=elsewhere')).toEqual([]);
  });
});

describe('canceling', () => {
  test('ends a running command, and twice is the same as once', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit(sh('sleep 1000'), {});
    await started(errand, id);
    for (let n = 0; n < 2; n++) {
      const response = await errand.request('POST', `/v1/commands/${id}/cancel`);
      expect(response.status).toBe(202);
      expect(((await response.json()) as CommandView).cancelRequestedAt).not.toBeNull();
    }
    expect(await errand.get(id, 60)).toMatchObject({
      status: 'canceled',
      result: { reason: 'canceled', signal: 'SIGTERM' },
    });
    const late = await errand.request('POST', `/v1/commands/${id}/cancel`);
    expect([late.status, (await problemOf(late)).code]).toEqual([409, 'already-final']);
  });

  test('right after submitting never leaves a command behind', async () => {
    const errand = await openErrand();
    const ids = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const { id } = await errand.submit(sh('sleep 1000'), {});
        await errand.request('POST', `/v1/commands/${id}/cancel`);
        return id;
      }),
    );
    for (const id of ids) expect((await errand.get(id, 60)).status).toBe('canceled');
  });
});

describe('signals', () => {
  test('reach a running command in order', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit(
      sh("trap 'echo hup' HUP; trap 'echo usr; exit 0' USR1; echo ready; while :; do sleep 0.02; done"),
      {},
    );
    await wrote(errand, id, 'ready\n');
    const send = (signal: string) => errand.request('POST', `/v1/commands/${id}/signal`, { signal });
    expect((await send('SIGHUP')).status).toBe(202);
    await wrote(errand, id, 'hup\n');
    await send('SIGUSR1');
    expect(await errand.get(id, 60)).toMatchObject({ status: 'succeeded', stdout: 'ready\nhup\nusr\n' });
    const late = await send('SIGHUP');
    expect([late.status, (await problemOf(late)).code]).toEqual([409, 'already-final']);
  });
});

describe('open stdin', () => {
  test('takes parts before and while the command runs, and its end', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit({ argv: ['cat'], stdin: 'open' }, {});
    const put = (text: string, from?: number) =>
      errand.request('PUT', `/v1/commands/${id}/stdin${from === undefined ? '' : `?from=${from}`}`, text);
    expect((await (await put('one\n')).json()) as StdinAccepted).toEqual({ stdinBytes: 4, ended: false });
    await wrote(errand, id, 'one\n');
    await put('two\n', 4);
    await wrote(errand, id, 'two\n');
    expect((await put('two\n', 4)).status).toBe(202);
    expect(await problemOf(await put('three\n', 99))).toMatchObject({ status: 409, errors: [{ pointer: '/from' }] });
    for (let n = 0; n < 2; n++) expect((await errand.request('DELETE', `/v1/commands/${id}/stdin`)).status).toBe(202);
    expect(await errand.get(id, 60)).toMatchObject({ status: 'succeeded', stdout: 'one\ntwo\n', stdin: 'open' });
    expect((await put('more')).status).toBe(409);
  });

  test('keeps large parts exact, and a retry reads them again', async () => {
    const errand = await openErrand();
    const file = `${errand.dataDirectory}/tries`;
    const script = `sha256sum; echo x >> ${file}; [ $(wc -l < ${file}) -ge 2 ]`;
    const { id } = await errand.submit(
      sh(script, { stdin: 'open', retry: { maxAttempts: 2, on: ['nonzero-exit'] } }),
      {},
    );
    const part = Buffer.alloc(1024 * 1024, 'abcdefg');
    for (let n = 0; n < 3; n++) await errand.request('PUT', `/v1/commands/${id}/stdin?from=${n * part.length}`, part);
    await errand.request('DELETE', `/v1/commands/${id}/stdin`);
    const command = await errand.get(id, 60);
    const { createHash } = await import('node:crypto');
    const expected = createHash('sha256')
      .update(Buffer.concat([part, part, part]))
      .digest('hex');
    expect(command.attempts).toHaveLength(2);
    expect(command.stdout.slice(0, 64)).toBe(expected);
  });

  test('is not taken by a command that did not ask for it', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit({ argv: ['true'] });
    expect((await errand.request('PUT', `/v1/commands/${id}/stdin`, 'x')).status).toBe(409);
  });

  test('takes one part of at most 1 MiB', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit({ argv: ['cat'], stdin: 'open' }, {});
    expect((await errand.request('PUT', `/v1/commands/${id}/stdin`, Buffer.alloc(1024 * 1024 + 1))).status).toBe(413);
    await errand.request('POST', `/v1/commands/${id}/cancel`);
  });
});

describe('a replay', () => {
  test('runs the same again as a new command, with what was changed', async () => {
    const errand = await openErrand();
    const first = await errand.submit(
      sh('echo "$WHO $(cat)"', { env: { WHO: 'me' }, stdin: 'in', labels: { a: 'b' }, timeoutSeconds: 9 }),
    );
    const replay = async (changes?: unknown) =>
      (await (
        await errand.request('POST', `/v1/commands/${first.id}/replay`, changes, { prefer: 'wait=60' })
      ).json()) as CommandView;
    const same = await replay();
    expect(same.id).not.toBe(first.id);
    expect(same).toMatchObject({ replayOf: first.id, stdout: 'me in\n', labels: { a: 'b' }, timeoutSeconds: 9 });
    expect(await replay({ env: { WHO: 'you' }, stdin: 'other' })).toMatchObject({ stdout: 'you other\n' });
    expect(await replay({ script: 'echo script' })).toMatchObject({ stdout: 'script\n', script: 'echo script' });
    expect(await replay({ argv: ['echo', 'argv'] })).toMatchObject({ stdout: 'argv\n' });
  });

  test('is checked as any submission', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit({ argv: ['true'] });
    expect((await errand.request('POST', `/v1/commands/${id}/replay`, { isolation: 'microvm' })).status).toBe(422);
    expect((await errand.request('POST', `/v1/commands/${id}/replay`, { nope: 1 })).status).toBe(400);
  });
});

describe('the system endpoints', () => {
  test('say what there is and that it works', async () => {
    const errand = await openErrand();
    expect(await (await errand.request('GET', '/healthz')).json()).toEqual({ status: 'ok' });
    expect(await (await errand.request('GET', '/readyz')).json()).toEqual({ status: 'ok' });
    expect(await (await errand.request('GET', '/v1/providers')).json()).toMatchObject({
      items: [
        {
          target: 'local',
          provider: 'local',
          healthy: true,
          features: { isolation: expect.arrayContaining(['none']), launcher: expect.stringMatching(/^(native|node)$/) },
        },
      ],
    });
    expect(await (await errand.request('GET', '/openapi.json')).json()).toMatchObject({ openapi: '3.1.1' });
  });

  test('readyz is a 503 problem once the store is gone', async () => {
    const errand = await openErrand();
    await errand.close();
    const response = await errand.request('GET', '/readyz');
    expect([response.status, (await problemOf(response)).code]).toEqual([503, 'unavailable']);
  });
});

type Errand = Awaited<ReturnType<typeof openErrand>>;

/** Resolves once the command runs. */
const started = async (errand: Errand, id: string): Promise<void> => {
  for await (const event of events(errand, id)) if (event.includes('"running"')) return;
};

/** Resolves once the command wrote this. */
const wrote = async (errand: Errand, id: string, text: string): Promise<void> => {
  const wanted = Buffer.from(text).toString('base64');
  for await (const event of events(errand, id)) if (event.includes(wanted)) return;
};

async function* events(errand: Errand, id: string): AsyncGenerator<string> {
  const response = await errand.request('GET', `/v1/commands/${id}/output`, undefined, { accept: 'text/event-stream' });
  const decoder = new TextDecoder();
  for await (const piece of response.body as ReadableStream<Uint8Array>) yield decoder.decode(piece, { stream: true });
}

describe('cacheSeconds', () => {
  test('answers at once with the command of before, and says so', async () => {
    const errand = await openErrand();
    const body = sh('date +%N; echo again >&2', { cacheSeconds: 60 });
    const first = await errand.submit(body);
    expect(first).toMatchObject({ status: 'succeeded', cacheSeconds: 60 });
    const response = await errand.request('POST', '/v1/commands', body);
    expect([response.status, response.headers.get('errand-cache')]).toEqual([200, 'hit']);
    expect(await response.json()).toEqual(first);
    const other = await errand.request('POST', '/v1/commands', { ...body, env: { A: '1' } });
    expect([other.status, other.headers.get('errand-cache')]).toEqual([202, 'miss']);
    expect((await errand.request('POST', '/v1/commands', sh('true'))).headers.get('errand-cache')).toBeNull();
  });

  test.each([
    ['secrets', { secrets: { TOKEN: 'secret:token' } }],
    ['open stdin', { stdin: 'open' }],
    ['no number of seconds', { cacheSeconds: -1 }],
    ['more than a month', { cacheSeconds: 31 * 24 * 3_600 }],
  ])('with %s is refused', async (_, over) => {
    const errand = await openErrand();
    const response = await errand.request('POST', '/v1/commands', sh('true', { cacheSeconds: 60, ...over }));
    expect(response.status).toBe(400);
    expect(await problemOf(response)).toMatchObject({ errors: [{ in: 'body', pointer: '/cacheSeconds' }] });
  });
});
