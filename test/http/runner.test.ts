import { describe, expect, test } from 'vitest';
import { type GatewayReply, makeGateway } from '../../local/gateway.ts';
import { makeAccess } from '../../shared/access/access.ts';
import { cancelCommand } from '../../shared/app/cancel-command.ts';
import { signalCommand } from '../../shared/app/signal-command.ts';
import { submitCommand } from '../../shared/app/submit-command.ts';
import { sweep } from '../../shared/app/sweep.ts';
import { type EndHead, MOST_FRAMED_BYTES, type OutputHead, type StartOrder } from '../../shared/contract/runner.ts';
import type { SubmitCommand } from '../../shared/contract/schemas.ts';
import type { Command } from '../../shared/domain/command.ts';
import { LIMITS } from '../../shared/domain/limits.ts';
import { encodeFramed } from '../../shared/runner/framed.ts';
import { referenceOf } from '../../shared/store/schema.ts';
import { jsonLog } from '../../shared/telemetry/log.ts';
import { withinTrace } from '../../shared/telemetry/trace-scope.ts';
import { owner, testWorker } from '../support/deps.ts';
import { fakeClock, settle } from '../support/fake-clock.ts';
import { scriptedProvider } from '../support/scripted-provider.ts';

const RUNNER = 'a'.repeat(32);
const json = { 'content-type': 'application/json' };
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const chunk = (stdoutOffset: number, text: string): Uint8Array =>
  encodeFramed(
    { stdoutOffset, stderrOffset: 0, segments: [{ stream: 'stdout', length: Buffer.byteLength(text) }] },
    Buffer.from(text),
  );
const nothing = { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 };
const endHead = (over: Partial<Extract<EndHead, { kind: 'ended' }>> = {}): EndHead => ({
  kind: 'ended',
  exit: { exitCode: 0, signal: null },
  output: nothing,
  ...over,
});
const end = (over: Parameters<typeof endHead>[0] = {}): Uint8Array => encodeFramed(endHead(over), new Uint8Array());

/** The handlers on a real store, and a provider at which nothing runs: each test speaks for the runner. */
const open = async () => {
  const clock = fakeClock();
  const lines: string[] = [];
  const provider = scriptedProvider({ leavesBehind: false });
  const deps = await testWorker({ clock, provider, log: jsonLog(clock, (line) => lines.push(line)) });
  const gateway = makeGateway(deps);
  const request = (method: string, target: string, headers = {}, body?: Uint8Array | string): Promise<GatewayReply> =>
    gateway({
      method,
      target,
      headers,
      body:
        body === undefined
          ? undefined
          : (async function* () {
              yield Buffer.from(body as string);
            })(),
      sourceIp: '',
    });
  /** The runner's requests, with a token. */
  const runner = (token: string) => ({
    redeem: (name = RUNNER) =>
      request('POST', '/runner/v1/redeem', { ...bearer(token), ...json }, JSON.stringify({ runner: name })),
    look: () => request('POST', '/runner/v1/look', bearer(token)),
    stdin: (from: number | string) => request('GET', `/runner/v1/stdin?from=${from}`, bearer(token)),
    output: (body: Uint8Array) => request('POST', '/runner/v1/output', bearer(token), body),
    end: (body: Uint8Array) => request('POST', '/runner/v1/end', bearer(token), body),
  });
  /** Submits, and waits until it was started at the provider. */
  const start = async (body: Partial<SubmitCommand> = {}) => {
    const { command } = await submitCommand(deps, owner, { body: { argv: ['true'], ...body } });
    while (!provider.starts.some(({ key }) => key.startsWith(command.id))) await settle();
    await settle();
    const { token } = provider.starts.findLast(({ key }) => key.startsWith(command.id)) as { token: string };
    return { id: command.id, token, ...runner(token) };
  };
  const now = async (id: Command['id']) =>
    (await deps.commands.find(referenceOf(owner.tenant, id)))?.command as Command;
  const outputOf = async (id: string) => {
    const { body } = await request('GET', `/v1/commands/${id}/output`);
    const pieces: Uint8Array[] = [];
    for await (const piece of body as AsyncIterable<Uint8Array>) pieces.push(piece);
    return Buffer.concat(pieces).toString();
  };
  return { deps, clock, lines, provider, gateway, request, runner, start, now, outputOf };
};

const textOf = ({ body }: GatewayReply): string => (body as string | Buffer).toString();
const parsed = (reply: GatewayReply) => JSON.parse(textOf(reply));
type Started = Awaited<ReturnType<Awaited<ReturnType<typeof open>>['start']>>;

const CALLS: [string, (one: Pick<Started, 'redeem' | 'look' | 'stdin' | 'output' | 'end'>) => Promise<GatewayReply>][] =
  [
    ['redeem', (one) => one.redeem()],
    ['look', (one) => one.look()],
    ['stdin', (one) => one.stdin(0)],
    ['output', (one) => one.output(chunk(0, 'x'))],
    ['end', (one) => one.end(end())],
  ];

describe('a token that is not good', () => {
  test.for(CALLS)('gets 401 from %s and the same words, whatever is wrong with it', async ([, call]) => {
    const { start, runner, now } = await open();
    const one = await start();
    const other = await start();
    const [tenant = '', id = '', attempt = '', ticket = ''] = one.token.split('.');
    const wrong = [
      '',
      'x',
      'owner',
      [`${tenant}2`, id, attempt, ticket].join('.'),
      [tenant, other.id, attempt, ticket].join('.'),
      [tenant, `${id.slice(0, -1)}9`, attempt, ticket].join('.'),
      [tenant, id, '2', ticket].join('.'),
      [tenant, id, attempt, '0'.repeat(32)].join('.'),
      [tenant, id, attempt, ticket.slice(0, -1)].join('.'),
      `${one.token}.`,
    ];
    const before = await now(one.id);
    const answers = new Set<string>();
    for (const token of wrong) {
      const reply = await call(runner(token));
      expect([reply.statusCode, reply.headers['www-authenticate']]).toEqual([401, 'Bearer']);
      const { requestId: _, ...problem } = parsed(reply);
      answers.add(JSON.stringify(problem));
    }
    expect([...answers]).toHaveLength(1);
    expect(await now(one.id)).toEqual(before);
  });

  test('is also none at all, or one in another scheme', async () => {
    const { request, start } = await open();
    const { token } = await start();
    for (const headers of [{}, { authorization: token }, { authorization: `Basic ${token}` }]) {
      expect((await request('POST', '/runner/v1/look', headers)).statusCode).toBe(401);
    }
  });

  test('opens nothing of the callers’ API, and a caller’s key opens nothing of the runners’', async () => {
    const { deps, start } = await open();
    const { token, id } = await start();
    const gateway = makeGateway({ ...deps, access: makeAccess({ ...deps, readOwnerKey: async () => 'the-key' }) });
    const ask = (method: string, target: string, key: string) =>
      gateway({ method, target, headers: bearer(key), body: undefined, sourceIp: '' });
    for (const path of ['/v1/commands', `/v1/commands/${id}`, '/v1/providers']) {
      expect([(await ask('GET', path, token)).statusCode, (await ask('GET', path, 'the-key')).statusCode]).toEqual([
        401, 200,
      ]);
    }
    expect((await ask('POST', `/v1/commands/${id}/cancel`, token)).statusCode).toBe(401);
    expect((await ask('POST', '/runner/v1/look', 'the-key')).statusCode).toBe(401);
    expect((await ask('POST', '/runner/v1/look', token)).statusCode).toBe(200);
  });
});

describe('redeeming the start ticket', () => {
  test('tells what to execute, to the first runner and its repetitions only', async () => {
    const { start, now } = await open();
    const one = await start({ argv: ['echo', 'a b'], env: { SECRET: 'value' }, cwd: '/tmp', timeoutSeconds: 90 });
    const reply = await one.redeem();
    const order: StartOrder = {
      argv: ['echo', 'a b'],
      env: { SECRET: 'value' },
      cwd: '/tmp',
      stdin: 'none',
      timeoutSeconds: 90,
      lookEverySeconds: 10,
      keepBytes: LIMITS.outputBytes,
    };
    expect([reply.statusCode, parsed(reply)]).toEqual([200, order]);
    const { startedAt } = await now(one.id);
    expect(startedAt).toBeDefined();
    const again = await one.redeem();
    expect([again.statusCode, parsed(again)]).toEqual([200, order]);
    const second = await one.redeem('b'.repeat(32));
    expect([second.statusCode, parsed(second).code]).toEqual([409, 'conflict']);
    expect(textOf(second)).not.toContain('value');
    expect((await now(one.id)).startedAt).toBe(startedAt);
  });

  test('by eight runners at once lets exactly one execute', async () => {
    const { start } = await open();
    const one = await start();
    const replies = await Promise.all(Array.from({ length: 8 }, (_, i) => one.redeem(String(i).repeat(32))));
    expect(replies.map(({ statusCode }) => statusCode).toSorted()).toEqual([200, ...Array(7).fill(409)]);
  });

  test.for<[string, (opened: Awaited<ReturnType<typeof open>>, one: Started) => Promise<unknown>]>([
    ['after a cancel', ({ deps }, { id }) => cancelCommand(deps, owner, id)],
    ['after the end', async (_, one) => [await one.redeem(), await one.end(end())]],
    [
      'after it was given up',
      async ({ clock, deps }) => {
        await clock.advance(301_000);
        await sweep(deps);
      },
    ],
  ])('%s gets 409: nothing is executed', async ([, happens]) => {
    const opened = await open();
    const one = await opened.start();
    await happens(opened, one);
    expect((await one.redeem()).statusCode).toBe(409);
  });

  test.for<[string, string | undefined]>([
    ['nothing', undefined],
    ['no name', '{}'],
    ['a name too short', '{"runner":"abc"}'],
    ['a name that is no text', '{"runner":{"a":1}}'],
    ['more than a name', `{"runner":"${RUNNER}","attempt":2}`],
    ['no JSON', 'runner'],
  ])('with %s is refused, and the ticket is still good', async ([, body]) => {
    const { request, start } = await open();
    const one = await start();
    const reply = await request('POST', '/runner/v1/redeem', { ...bearer(one.token), ...json }, body);
    expect(reply.statusCode).toBe(400);
    expect((await one.redeem()).statusCode).toBe(200);
  });
});

describe('a look', () => {
  test('tells all signals so far, a stop, and at last that nobody waits', async () => {
    const { deps, start, now, clock } = await open();
    const one = await start();
    await one.redeem();
    expect(parsed(await one.look())).toEqual({ stop: false, over: false, signals: [] });
    await signalCommand(deps, owner, one.id, 'SIGHUP');
    await signalCommand(deps, owner, one.id, 'SIGUSR1');
    for (let twice = 0; twice < 2; twice++) {
      expect(parsed(await one.look())).toEqual({ stop: false, over: false, signals: ['SIGHUP', 'SIGUSR1'] });
    }
    await clock.advance(20_000);
    await one.look();
    expect((await now(one.id)).attempts[0]?.leaseUntil).toBe(clock.now() + 30_000);
    await cancelCommand(deps, owner, one.id);
    expect(parsed(await one.look())).toMatchObject({ stop: true, over: false });
    await one.end(end({ exit: { exitCode: null, signal: 'SIGTERM' } }));
    expect((await now(one.id)).status).toBe('canceled');
    expect(parsed(await one.look())).toEqual({ stop: true, over: true, signals: [] });
  });

  test('tells a stop once the time is over, though nobody else looked', async () => {
    const { start, clock } = await open();
    const one = await start({ timeoutSeconds: 60 });
    await one.redeem();
    await clock.advance(60_000);
    expect(parsed(await one.look())).toMatchObject({ stop: true, over: false });
    await one.end(end({ exit: { exitCode: null, signal: 'SIGTERM' } }));
  });
});

describe('an attempt that was given up', () => {
  test('may not store, read or end anything: the next one is what counts', async () => {
    const { start, now, clock, deps, provider, runner, outputOf } = await open();
    const old = await start({ stdin: 'open' });
    await clock.advance(301_000);
    await sweep(deps);
    await clock.advance(60_000);
    expect(provider.starts).toHaveLength(2);
    const next = runner(provider.starts[1]?.token ?? '');
    expect((await next.redeem()).statusCode).toBe(200);
    const before = await now(old.id);
    expect((await old.redeem()).statusCode).toBe(409);
    expect((await old.output(chunk(0, 'old'))).statusCode).toBe(409);
    expect((await old.stdin(0)).statusCode).toBe(409);
    expect((await old.end(end({ exit: { exitCode: 9, signal: null } }))).statusCode).toBe(204);
    expect(parsed(await old.look())).toEqual({ stop: true, over: true, signals: [] });
    expect(await now(old.id)).toEqual(before);
    await next.end(end());
    expect((await now(old.id)).status).toBe('succeeded');
    expect(await outputOf(old.id)).toBe('');
  });
});

describe('output', () => {
  test('is stored once, in order, however often it is sent', async () => {
    const { start, outputOf, now } = await open();
    const one = await start();
    await one.redeem();
    const replies = await Promise.all([one.output(chunk(0, 'abc')), one.output(chunk(0, 'abc'))]);
    expect(replies.map(({ statusCode }) => statusCode)).toEqual([204, 204]);
    expect((await one.output(chunk(3, 'def'))).statusCode).toBe(204);
    expect((await one.output(chunk(0, 'abc'))).statusCode).toBe(204);
    expect(await outputOf(one.id)).toBe('abcdef');
    await one.end(end());
    expect(await outputOf(one.id)).toBe('abcdef');
    expect((await now(one.id)).result).toMatchObject({ stdoutBytes: 6, stderrBytes: 0 });
    expect((await one.output(chunk(6, 'ghi'))).statusCode).toBe(409);
    expect(await outputOf(one.id)).toBe('abcdef');
  });

  test('of both streams keeps their order, bytes exactly', async () => {
    const { start, request } = await open();
    const one = await start();
    await one.redeem();
    const head: OutputHead = {
      stdoutOffset: 0,
      stderrOffset: 0,
      segments: [
        { stream: 'stdout', length: 2 },
        { stream: 'stderr', length: 1 },
        { stream: 'stdout', length: 1 },
      ],
    };
    await one.output(encodeFramed(head, Buffer.from([0, 255, 195, 10])));
    const events = await request('GET', `/v1/commands/${one.id}/output`);
    const pieces: Uint8Array[] = [];
    for await (const piece of events.body as AsyncIterable<Uint8Array>) pieces.push(piece);
    expect(Buffer.concat(pieces)).toEqual(Buffer.from([0, 255, 195, 10]));
  });

  test.for<[string, Uint8Array, number]>([
    ['written over', chunk(0, 'XYZ'), 204],
    ['written into', chunk(1, 'XY'), 204],
    ['written across its end', chunk(2, 'XYZ'), 409],
    ['after a gap', chunk(4, 'XYZ'), 409],
    ['at the other end of what is kept', chunk(LIMITS.outputBytes, 'XYZ'), 409],
    ['past what is kept', chunk(LIMITS.outputBytes + 1, 'XYZ'), 400],
    [
      'from another place in each stream',
      encodeFramed({ stdoutOffset: 0, stderrOffset: 3, segments: [{ stream: 'stderr', length: 1 }] }, Buffer.from('X')),
      409,
    ],
  ])('that is stored is not %s', async ([, body, status]) => {
    const { start, outputOf } = await open();
    const one = await start();
    await one.redeem();
    await one.output(chunk(0, 'abc'));
    expect((await one.output(body)).statusCode).toBe(status);
    expect(await outputOf(one.id)).toBe('abc');
  });

  test('is told how much of it is stored when it asks, and only then', async () => {
    const { start, request } = await open();
    const one = await start();
    await one.redeem();
    await one.output(chunk(0, 'abc'));
    expect(parsed(await one.look())).not.toHaveProperty('stored');
    const look = (query: string) => request('POST', `/runner/v1/look?${query}`, bearer(one.token));
    expect(parsed(await look('stored=true'))).toMatchObject({ stored: { stdoutBytes: 3, stderrBytes: 0 } });
    expect((await look('stored=yes')).statusCode).toBe(400);
    await one.end(end());
    expect(parsed(await look('stored=true'))).toEqual({ stop: true, over: true, signals: [] });
  });

  const raw = (head: unknown, bytes = ''): Uint8Array => encodeFramed(head as OutputHead, Buffer.from(bytes));
  const segment = { stream: 'stdout', length: 3 };
  const zero = { stdoutOffset: 0, stderrOffset: 0 };
  test.for<[string, Uint8Array]>([
    ['fewer bytes than its segments', raw({ ...zero, segments: [segment] }, 'ab')],
    ['more bytes than its segments', raw({ ...zero, segments: [segment] }, 'abcd')],
    ['no segments', raw({ ...zero, segments: [] })],
    ['an empty segment', raw({ ...zero, segments: [{ ...segment, length: 0 }] })],
    [
      'a negative segment',
      raw(
        {
          ...zero,
          segments: [
            { ...segment, length: 5 },
            { ...segment, length: -2 },
          ],
        },
        'abc',
      ),
    ],
    ['half a byte', raw({ ...zero, segments: [{ ...segment, length: 2.5 }] }, 'abc')],
    ['another stream', raw({ ...zero, segments: [{ ...segment, stream: 'stdin' }] }, 'abc')],
    ['a negative offset', raw({ ...zero, stdoutOffset: -1, segments: [segment] }, 'abc')],
    ['an offset as text', raw({ ...zero, stdoutOffset: '0', segments: [segment] }, 'abc')],
    ['an unknown field', raw({ ...zero, segments: [segment], attempt: 2 }, 'abc')],
    ['too many segments', raw({ ...zero, segments: Array(9_000).fill({ ...segment, length: 1 }) }, 'a'.repeat(9_000))],
    ['null', raw(null)],
    ['a list', raw([])],
    ['nothing', new Uint8Array()],
    ['three bytes', Buffer.from([0, 0, 0])],
    ['garbage', Buffer.from('not framed at all')],
    ['a head longer than the body', Buffer.from([255, 255, 255, 255, 1, 2, 3])],
  ])('with %s is refused, and nothing is stored', async ([, body]) => {
    const { start, outputOf, lines } = await open();
    const one = await start();
    await one.redeem();
    const reply = await one.output(body);
    expect([reply.statusCode, parsed(reply).code]).toEqual([400, 'invalid-request']);
    expect(await outputOf(one.id)).toBe('');
    expect(lines).toEqual([]);
  });

  test('larger than one request may be is refused with 413', async () => {
    const { start, outputOf } = await open();
    const one = await start();
    await one.redeem();
    expect((await one.output(new Uint8Array(MOST_FRAMED_BYTES + 1))).statusCode).toBe(413);
    expect(await outputOf(one.id)).toBe('');
  });

  test('as large as a runner sends it is stored', async () => {
    const { start, outputOf } = await open();
    const one = await start();
    await one.redeem();
    const text = 'x'.repeat(600_000);
    expect((await one.output(chunk(0, text))).statusCode).toBe(204);
    expect(await outputOf(one.id)).toBe(text);
  });
});

describe('the end', () => {
  const last = (stdoutOffset: number, text: string) => ({
    head: endHead({
      exit: { exitCode: 7, signal: null },
      output: { stdoutBytes: stdoutOffset + text.length, stderrBytes: 0, droppedBytes: 5 },
      chunk: { stdoutOffset, stderrOffset: 0, segments: [{ stream: 'stdout', length: text.length }] },
    }),
    bytes: Buffer.from(text),
  });
  const framedLast = (stdoutOffset: number, text: string): Uint8Array => {
    const { head, bytes } = last(stdoutOffset, text);
    return encodeFramed(head, bytes);
  };

  test('brings the last of the output, which can be read at once', async () => {
    const { start, now, outputOf } = await open();
    const one = await start();
    await one.redeem();
    await one.output(chunk(0, 'abc'));
    expect((await one.end(framedLast(3, 'def'))).statusCode).toBe(204);
    expect(await now(one.id)).toMatchObject({
      status: 'failed',
      result: { exitCode: 7, stdoutBytes: 6, stderrBytes: 0, droppedBytes: 5 },
    });
    expect(await outputOf(one.id)).toBe('abcdef');
  });

  test('told twice, also at once, is stored once; the first stands', async () => {
    const { start, now, outputOf } = await open();
    const one = await start();
    await one.redeem();
    const both = await Promise.all([one.end(framedLast(0, 'abc')), one.end(framedLast(0, 'abc'))]);
    expect(both.map(({ statusCode }) => statusCode)).toEqual([204, 204]);
    const first = await now(one.id);
    expect((await one.end(end())).statusCode).toBe(204);
    expect(await now(one.id)).toEqual(first);
    expect(await outputOf(one.id)).toBe('abc');
  });

  test('whose output was stored before ends all the same', async () => {
    const { start, now, outputOf } = await open();
    const one = await start();
    await one.redeem();
    await one.output(chunk(0, 'abc'));
    expect((await one.end(framedLast(0, 'abc'))).statusCode).toBe(204);
    expect(await now(one.id)).toMatchObject({ status: 'failed', result: { stdoutBytes: 3 } });
    expect(await outputOf(one.id)).toBe('abc');
  });

  test('told while the same output is being stored ends, and keeps it once', async () => {
    const { start, now, outputOf } = await open();
    const one = await start();
    await one.redeem();
    await Promise.all([one.output(chunk(0, 'abc')), one.end(framedLast(0, 'abc')), one.output(chunk(0, 'abc'))]);
    expect(await now(one.id)).toMatchObject({ status: 'failed', result: { stdoutBytes: 3 } });
    expect(await outputOf(one.id)).toBe('abc');
  });

  test('counts what is stored, whatever the runner says', async () => {
    const { start, now, request } = await open();
    const one = await start();
    await one.redeem();
    await one.output(chunk(0, 'abc'));
    await one.end(end({ output: { stdoutBytes: 10 ** 15, stderrBytes: 7, droppedBytes: 1 } }));
    expect((await now(one.id)).result).toMatchObject({ stdoutBytes: 3, stderrBytes: 0, droppedBytes: 1 });
    expect(parsed(await request('GET', `/v1/commands/${one.id}`))).toMatchObject({ stdout: 'abc', stderr: '' });
  });

  test('of what the runner does not know is lost, with its words', async () => {
    const { start, now } = await open();
    const one = await start();
    await one.redeem();
    await one.end(encodeFramed({ kind: 'lost', detail: 'Its helper died.', output: nothing }, new Uint8Array()));
    expect(await now(one.id)).toMatchObject({ status: 'lost', result: { reason: 'lost', detail: 'Its helper died.' } });
  });

  test.for<[boolean, string]>([
    [true, 'queued'],
    [false, 'failed'],
  ])('of what was not executed (retryable: %s) leaves it %s', async ([retryable, status]) => {
    const { start, now } = await open();
    const one = await start();
    await one.redeem();
    await one.end(encodeFramed({ kind: 'rejected', detail: 'No process could be made.', retryable }, new Uint8Array()));
    expect((await now(one.id)).status).toBe(status);
  });

  test('before the ticket was redeemed is of something else: nothing is known by it', async () => {
    const { start, now } = await open();
    const one = await start();
    expect((await one.end(end())).statusCode).toBe(204);
    expect((await now(one.id)).status).toBe('starting');
    expect((await one.redeem()).statusCode).toBe(200);
  });

  const raw = (head: unknown, bytes = ''): Uint8Array => encodeFramed(head as EndHead, Buffer.from(bytes));
  test.for<[string, Uint8Array]>([
    ['no kind', raw({})],
    ['another kind', raw({ kind: 'canceled' })],
    ['exit code 256', raw(endHead({ exit: { exitCode: 256, signal: null } }))],
    ['exit code -1', raw(endHead({ exit: { exitCode: -1, signal: null } }))],
    ['a signal that is none', raw(endHead({ exit: { exitCode: null, signal: 'KILL' } }))],
    ['words without end', raw(endHead({ exit: { exitCode: 1, signal: null, detail: 'x'.repeat(2_001) } }))],
    ['negative output', raw(endHead({ output: { ...nothing, droppedBytes: -1 } }))],
    ['no output counted', raw({ kind: 'ended', exit: { exitCode: 0, signal: null } })],
    ['a chunk that does not add up', raw(last(0, 'abc').head, 'ab')],
    ['garbage', Buffer.from('garbage')],
  ])('with %s is refused, and the command goes on', async ([, body]) => {
    const { start, now } = await open();
    const one = await start();
    await one.redeem();
    expect((await one.end(body)).statusCode).toBe(400);
    expect((await now(one.id)).status).toBe('running');
  });
});

describe('input', () => {
  test.for<[string, Partial<SubmitCommand>, StartOrder['stdin']]>([
    ['none', {}, 'none'],
    ['fixed', { stdin: 'héllo' }, { base64: Buffer.from('héllo').toString('base64') }],
    ['open', { stdin: 'open' }, 'open'],
  ])('that is %s is told with the order', async ([, body, stdin]) => {
    const { start } = await open();
    const one = await start(body as never);
    expect(parsed(await one.redeem())).toMatchObject({ stdin });
  });

  test('that is open is read part by part, waited for, and repeated when asked again', async () => {
    const { deps, start } = await open();
    const one = await start({ stdin: 'open' });
    await one.redeem();
    const reference = referenceOf(owner.tenant, one.id);
    const waiting = one.stdin(0);
    await settle();
    await deps.stdin.append(reference, Buffer.from([0, 255]), 0);
    const first = await waiting;
    expect([first.body, first.headers['errand-input-ended']]).toEqual([Buffer.from([0, 255]), 'false']);
    await deps.stdin.append(reference, Buffer.from('more'), 2);
    for (const [from, text] of [
      [2, 'more'],
      [0, '\u0000\u00ff'],
      [2, 'more'],
    ] as const) {
      expect((await one.stdin(from)).body).toEqual(Buffer.from(text, 'latin1'));
    }
    await deps.stdin.end(reference);
    const end = await one.stdin(6);
    expect([textOf(end), end.headers['errand-input-ended']]).toEqual(['', 'true']);
  });

  test('that does not come is answered with nothing after a while, and no wait is left behind', async () => {
    const { clock, start } = await open();
    const one = await start({ stdin: 'open' });
    await one.redeem();
    const sleepers = clock.sleepers();
    const waiting = one.stdin(0);
    await clock.advance(10_000);
    const reply = await waiting;
    expect([textOf(reply), reply.headers['errand-input-ended']]).toEqual(['', 'false']);
    await settle();
    expect(clock.sleepers()).toBe(sleepers);
  });

  test.for([1, 3, 4, 5])('asked for from byte %i, where no part begins, is refused at once', async (from) => {
    const { deps, start } = await open();
    const one = await start({ stdin: 'open' });
    await one.redeem();
    const reference = referenceOf(owner.tenant, one.id);
    await deps.stdin.append(reference, Buffer.from('ab'), 0);
    await deps.stdin.append(reference, Buffer.from('cdef'), 2);
    expect((await one.stdin(from)).statusCode).toBe(409);
  });

  test.for(['', '-1', '1.5', 'x', '1e3', '9'.repeat(16)])('asked for from %j is refused', async (from) => {
    const { start } = await open();
    const one = await start({ stdin: 'open' });
    await one.redeem();
    expect((await one.stdin(from)).statusCode).toBe(400);
  });
});

describe('what is secret', () => {
  test('is in no answer of the callers’ API and in no line of the log', async () => {
    const { deps, start, request, lines, now, clock } = await open();
    const one = await start({ env: { PASSWORD: 'value-of-a-variable' } });
    const [, , , ticket = ''] = one.token.split('.');
    const texts: string[] = [];
    const readAll = async () => {
      for (const path of ['', `/${one.id}`, `/${one.id}/output`, '?status=running']) {
        const { body } = await request('GET', `/v1/commands${path}`);
        if (typeof body === 'string' || Buffer.isBuffer(body)) texts.push(body.toString());
        else for await (const piece of body as AsyncIterable<Uint8Array>) texts.push(Buffer.from(piece).toString());
      }
      texts.push(textOf(await request('GET', '/v1/providers')), textOf(await request('GET', '/readyz')));
    };
    await readAll();
    await one.redeem();
    await readAll();
    // Faults, which are logged or answered with words.
    await one.redeem('b'.repeat(32));
    await one.output(Buffer.from('garbage'));
    await request('GET', `/v1/commands/${one.id}/${one.token}`);
    deps.log.info('The log works');
    await cancelCommand(deps, owner, one.id);
    await clock.advance(60_000);
    await sweep(deps);
    await one.end(end());
    await readAll();
    expect((await now(one.id)).attempts[0]).toMatchObject({ ticket, runner: RUNNER });
    expect(lines.length).toBeGreaterThan(0);
    for (const secret of [ticket, one.token, RUNNER, 'value-of-a-variable']) {
      expect([...texts, ...lines].filter((text) => text.includes(secret))).toEqual([]);
    }
  });
});

describe('the trace that a command was submitted within', () => {
  const TRACE = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'vendor=1' };
  const TOLD = { TRACEPARENT: TRACE.traceparent, TRACESTATE: TRACE.tracestate };

  test.for<[string, Record<string, string>, Record<string, string>]>([
    ['is told to the runner of any provider', { A: 'a' }, { ...TOLD, A: 'a' }],
    ['gives way to a variable of its own', { TRACEPARENT: 'own' }, { TRACEPARENT: 'own' }],
    ['gives way to a state of its own', { TRACESTATE: 'own' }, { TRACESTATE: 'own' }],
  ])('%s', async ([, env, expected]) => {
    const { start } = await open();
    const one = await withinTrace(TRACE, () => start({ env }));
    expect(parsed(await one.redeem())).toMatchObject({ env: expected });
    expect(Object.keys(parsed(await one.redeem()).env).sort()).toEqual(Object.keys(expected).sort());
  });

  test('is in no command that was submitted without one, though another ran just before', async () => {
    const { start } = await open();
    const first = await withinTrace(TRACE, () => start());
    await first.redeem();
    const second = await start();
    expect(parsed(await second.redeem())).toMatchObject({ env: {} });
  });
});
