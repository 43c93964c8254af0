import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { bridgeStdio, type SendMessage } from '../../../clients/cli/stdio-bridge.ts';

const events = (...messages: readonly object[]): Response =>
  new Response(messages.map((one) => `event: message\ndata: ${JSON.stringify(one)}\n\n`).join(''), {
    headers: { 'content-type': 'text/event-stream' },
  });
const problem = (status: number, code: string): Response =>
  new Response(JSON.stringify({ status, code, detail: 'Why.' }), {
    status,
    headers: { 'content-type': 'application/problem+json' },
  });
const answerTo = (id: number, result: object = {}) => ({ jsonrpc: '2.0', id, result });

interface Sent {
  readonly headers: Record<string, string>;
  readonly signal: AbortSignal;
}

const GRACE_MS = 10_000;

/** A bridge to a server that answers so, in turn. */
const bridge = (answers: readonly (Response | Error | Promise<Response>)[]) => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const sent: Sent[] = [];
  const waits: number[] = [];
  const send: SendMessage = async (_, headers, signal) => {
    const answer = answers[sent.push({ headers, signal }) - 1];
    if (answer instanceof Error) throw answer;
    if (!answer) throw new Error('Nothing more was expected');
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    return Promise.race([answer, aborted]);
  };
  let keys = 0;
  const [stop, leave, grace] = [new AbortController(), new AbortController(), Promise.withResolvers<void>()];
  const done = bridgeStdio(input, output, {
    send,
    async sleep(milliseconds, signal) {
      waits.push(milliseconds);
      if (milliseconds < GRACE_MS) return;
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      await Promise.race([grace.promise, aborted]);
    },
    makeKey: () => `key-${++keys}`,
    stop: stop.signal,
    leave: leave.signal,
  });
  const lines = output[Symbol.asyncIterator]();
  let left = '';
  return {
    sent,
    waits,
    done,
    input,
    output,
    stop: () => stop.abort(),
    leave: () => leave.abort(),
    endGrace: grace.resolve,
    say: (message: object | string) =>
      void input.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`),
    async next(): Promise<unknown> {
      while (!left.includes('\n')) {
        const { value, done: isOver } = await lines.next();
        if (isOver) throw new Error('It said nothing more');
        left += String(value);
      }
      const [line = '', ...rest] = left.split('\n');
      left = rest.join('\n');
      return JSON.parse(line);
    },
  };
};

type Bridge = ReturnType<typeof bridge>;

const call = (id: number, name = 'run_command') => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name } });

describe('the bridge from stdio to a server', () => {
  test('passes on progress and the answer, a message a line', async () => {
    const progress = { jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 5 } };
    const { say, next } = bridge([events(progress, answerTo(1, { content: [] }))]);
    say(call(1));
    expect(await next()).toEqual(progress);
    expect(await next()).toEqual(answerTo(1, { content: [] }));
  });

  test('says in headers what the present revision has in each message', async () => {
    const { say, next, sent } = bridge([events(answerTo(1))]);
    const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
    say({ ...call(1), params: { name: 'wait_command', _meta } });
    await next();
    expect(sent[0]?.headers).toMatchObject({
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'wait_command',
    });
  });

  test('says the revision that a handshake agreed on, from then on', async () => {
    const { say, next, sent } = bridge([events(answerTo(1, { protocolVersion: '2025-11-25' })), events(answerTo(2))]);
    say({ jsonrpc: '2.0', id: 1, method: 'initialize', params: {} });
    say(call(2));
    await next();
    await next();
    expect(sent.map(({ headers }) => headers['mcp-protocol-version'])).toEqual([undefined, '2025-11-25']);
    expect(sent[1]?.headers).not.toHaveProperty('mcp-method');
  });

  test.for([
    ['no connection', new TypeError('fetch failed')],
    ['an answer that broke off', events({ jsonrpc: '2.0', method: 'notifications/progress', params: {} })],
    ['a server that restarts', problem(503, 'unavailable')],
  ] as const)('after %s the same is sent again, under the same key', async ([, first]) => {
    const { say, next, sent, waits } = bridge([first, events(answerTo(1, { ok: true }))]);
    say(call(1));
    let message = await next();
    if ((message as { method?: string }).method) message = await next();
    expect(message).toEqual(answerTo(1, { ok: true }));
    expect(sent.map(({ headers }) => headers['idempotency-key'])).toEqual(['key-1', 'key-1']);
    expect(waits).toEqual([100]);
  });

  test('each message has a key of its own', async () => {
    const { say, next, sent } = bridge([events(answerTo(1)), events(answerTo(2))]);
    say(call(1));
    await next();
    say(call(2));
    await next();
    expect(sent.map(({ headers }) => headers['idempotency-key'])).toEqual(['key-1', 'key-2']);
  });

  test('input is not sent twice: it could be there twice', async () => {
    const { say, next, sent } = bridge([new TypeError('fetch failed')]);
    say(call(1, 'send_input'));
    expect(await next()).toMatchObject({ id: 1, error: { message: 'fetch failed' } });
    expect(sent).toHaveLength(1);
  });

  test('gives up after some seconds, and says why', async () => {
    const { say, next, waits } = bridge(Array.from({ length: 7 }, () => new TypeError('fetch failed')));
    say(call(1));
    expect(await next()).toMatchObject({ id: 1, error: { message: 'fetch failed' } });
    expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200]);
  });

  test('what the server refuses is an error with its code, and is not tried again', async () => {
    const { say, next, waits } = bridge([problem(401, 'unauthenticated')]);
    say(call(1));
    expect(await next()).toMatchObject({ id: 1, error: { message: 'unauthenticated: Why.' } });
    expect(waits).toEqual([]);
  });

  test('an error of the protocol is passed on as it is, whatever its status', async () => {
    const error = { jsonrpc: '2.0', id: 1, error: { code: -32022, message: 'No such revision' } };
    const { say, next } = bridge([
      new Response(JSON.stringify(error), { status: 400, headers: { 'content-type': 'application/json' } }),
    ]);
    say(call(1));
    expect(await next()).toEqual(error);
  });

  test('a request that is taken back is let go of, and not answered', async () => {
    const { say, sent, next } = bridge([new Promise<Response>(() => {}), events(answerTo(2))]);
    say(call(1));
    say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } });
    say(call(2));
    expect(await next()).toEqual(answerTo(2));
    expect(sent[0]?.signal.aborted).toBe(true);
  });

  test.for(['nonsense', '[]', '7', 'null'])(
    'the line %s is answered with an error, and the next one is served',
    async (line) => {
      const { say, next } = bridge([events(answerTo(1))]);
      say(line);
      expect(await next()).toMatchObject({ id: null, error: { code: -32700 } });
      say(call(1));
      expect(await next()).toEqual(answerTo(1));
    },
  );

  test.for([
    [
      'its input has ended',
      ({ input }: Bridge): void => {
        input.end();
      },
    ],
    ['it was told to stop', ({ stop }: Bridge): void => stop()],
  ] as const)('once %s it answers what was asked, and takes no more', async ([, end]) => {
    const late = Promise.withResolvers<Response>();
    const own = bridge([late.promise, events(answerTo(2)), events(answerTo(3))]);
    own.say(call(1));
    own.say(call(2));
    expect(await own.next()).toEqual(answerTo(2));
    end(own);
    await expect.poll(() => own.waits).toEqual([GRACE_MS]);
    own.input.write(`${JSON.stringify(call(3))}\n`, () => {});
    late.resolve(events(answerTo(1, { ok: true })));
    expect(await own.next()).toEqual(answerTo(1, { ok: true }));
    await own.done;
    expect(own.sent).toHaveLength(2);
  });

  test('a lost connection is tried again also after the end of its input', async () => {
    const { say, input, next, done } = bridge([new TypeError('fetch failed'), events(answerTo(1))]);
    say(call(1));
    input.end();
    expect(await next()).toEqual(answerTo(1));
    await done;
  });

  test.for([
    ['ten seconds after the end of its input', [({ input }) => void input.end(), ({ endGrace }) => endGrace()]],
    ['ten seconds after it was told to stop', [({ stop }) => stop(), ({ endGrace }) => endGrace()]],
    ['told to stop after the end of its input', [({ input }) => void input.end(), ({ stop }) => stop()]],
    ['told twice to stop', [({ stop }) => stop(), ({ leave }) => leave()]],
  ] as const satisfies readonly (readonly [string, readonly ((own: Bridge) => void)[]])[])(
    '%s it leaves, and what has no answer by then has an error',
    async ([, [first, then]]) => {
      const own = bridge([new Promise<Response>(() => {})]);
      own.say(call(1));
      await expect.poll(() => own.sent).toHaveLength(1);
      first(own);
      await expect.poll(() => own.waits).toEqual([GRACE_MS]);
      expect(own.sent[0]?.signal.aborted).toBe(false);
      then(own);
      expect(await own.next()).toMatchObject({
        id: 1,
        error: { code: -32603, message: expect.stringContaining('told to end') },
      });
      await own.done;
      expect(own.sent[0]?.signal.aborted).toBe(true);
    },
  );

  test('a connection that breaks off behind the answer adds nothing to it', async () => {
    const broken: ReadableStream<Uint8Array> = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(answerTo(1))}\n\n`));
      },
      pull: (controller) => controller.error(new TypeError('terminated')),
    });
    const answer = new Response(broken, { headers: { 'content-type': 'text/event-stream' } });
    const { say, next, sent, input, done, output } = bridge([answer]);
    say(call(1));
    expect(await next()).toEqual(answerTo(1));
    input.end();
    await done;
    expect(sent).toHaveLength(1);
    output.end();
    await expect(next()).rejects.toThrow('nothing more');
  });
});
