import { describe, expect, test } from 'vitest';
import { toTenantId } from '../../../shared/domain/ids.ts';
import { toRunnerToken } from '../../../shared/domain/runner-token.ts';
import { type Control, makeControl } from '../../../shared/runner/control.ts';
import { decodeFramed } from '../../../shared/runner/framed.ts';
import { commandId } from '../../support/commands.ts';
import { type FakeClock, fakeClock } from '../../support/fake-clock.ts';

const TOKEN = toRunnerToken({ tenant: toTenantId('default'), id: commandId(), attempt: 1, ticket: 'a1'.repeat(16) });
const RUNNER = 'b2'.repeat(16);
const head = { stdoutOffset: 0, stderrOffset: 0, segments: [{ stream: 'stdout', length: 3 } as const] };
const bytes = Buffer.from('abc');
const ended = {
  kind: 'ended',
  exit: { exitCode: 0, signal: null },
  output: { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 },
} as const;

type Answer = (init: RequestInit) => Promise<Response>;
const status =
  (code: number, body: string | null = null, headers = {}): Answer =>
  async () =>
    new Response(body, { status: code, headers });
const cutOff: Answer = () => Promise.reject(new TypeError('fetch failed'));
/** Never answers; gives up only when it is told to. */
const silent: Answer = ({ signal }) =>
  new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true }));

/** A control client against answers that come one after another; the last one again and again. */
const open = (...answers: Answer[]) => {
  const clock = fakeClock();
  const calls: { url: string; init: RequestInit; at: number }[] = [];
  const start = clock.now();
  const control = makeControl({
    url: 'https://control.example/base//',
    token: TOKEN,
    runner: RUNNER,
    clock,
    fetch: (url, init) => {
      calls.push({ url, init, at: clock.now() - start });
      return (answers.length > 1 ? answers.shift() : answers[0])?.(init) as Promise<Response>;
    },
  });
  return { clock, control, calls };
};

/** How a call ends while time is moved, second by second; and after how long. */
const outcomeOf = async <T>(clock: FakeClock, call: Promise<T>) => {
  const start = clock.now();
  let over = false;
  const settled = call.then(
    (value) => ({ value, error: undefined }),
    (error: Error) => ({ value: undefined, error }),
  );
  void settled.then(() => (over = true));
  await clock.advance(0);
  while (!over) await clock.advance(1_000);
  return { ...(await settled), seconds: (clock.now() - start) / 1_000 };
};

const CALLS: [string, (control: Control) => Promise<unknown>, number][] = [
  ['redeem', (control) => control.redeem(), 30],
  ['look', (control) => control.look(), 5],
  ['store', (control) => control.store(head, bytes), 30],
  ['end', (control) => control.end(ended, bytes), 15 * 60],
  ['stdin', (control) => control.stdin(new AbortController().signal).next(), 15 * 60],
];

describe('a call of the runner', () => {
  test.for<[string, (control: Control) => Promise<unknown>, string, string]>([
    ['redeem', (control) => control.redeem(), 'POST', 'redeem'],
    ['look', (control) => control.look(), 'POST', 'look'],
    ['store', (control) => control.store(head, bytes), 'POST', 'output'],
    ['end', (control) => control.end(ended, bytes), 'POST', 'end'],
    ['stdin', (control) => control.stdin(new AbortController().signal).next(), 'GET', 'stdin?from=0'],
  ])('%s is one request with the token, which is not sent on to where a redirect points', async ([, call, ...rest]) => {
    const [method, path] = rest;
    const { control, calls } = open(status(200, '{}', { 'errand-input-ended': 'true' }));
    await call(control);
    expect(calls).toHaveLength(1);
    expect(calls[0]?.url).toBe(`https://control.example/base/runner/v1/${path}`);
    expect(calls[0]?.init).toMatchObject({
      method,
      redirect: 'error',
      headers: { authorization: `Bearer ${TOKEN}` },
    });
  });

  test.for<[string, Answer]>([
    ['nobody answered', cutOff],
    ['the answer was a fault of the server', status(500)],
    ['the gateway was overloaded', status(503)],
    ['there were too many requests', status(429)],
    ['something on the way refused it', status(403)],
    ['another server stood there', status(404, '<html>')],
  ])('is repeated, the same to the byte, when %s', async ([, fault]) => {
    for (const [name, call] of CALLS) {
      const good = status(200, '{}', { 'errand-input-ended': 'true' });
      const { clock, control, calls } = open(fault, fault, fault, good);
      const { error } = await outcomeOf(clock, call(control));
      expect([name, error]).toEqual([name, undefined]);
      expect(calls.map(({ at }) => at)).toEqual([0, 100, 300, 700]);
      expect(new Set(calls.map(({ url, init: { method, body } }) => JSON.stringify([url, method, body]))).size).toBe(1);
    }
  });

  test('waits at most 5 s between two tries', async () => {
    const { clock, control, calls } = open(...Array(20).fill(cutOff), status(204));
    expect((await outcomeOf(clock, control.end(ended, bytes))).value).toBe(true);
    const waits = calls.slice(1).map(({ at }, i) => at - (calls[i]?.at ?? 0));
    expect(waits.slice(0, 7)).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000]);
    expect(Math.max(...waits)).toBe(5_000);
  });

  test.for(CALLS)(
    '%s gives up on a control plane that is away once its patience is over',
    async ([, call, patience]) => {
      const { clock, control } = open(cutOff);
      const { error, seconds } = await outcomeOf(clock, call(control));
      expect(error).toMatchObject({ name: 'Unreachable', message: expect.stringContaining('fetch failed') });
      expect(seconds).toBeGreaterThan(patience - 6);
      expect(seconds).toBeLessThanOrEqual(patience + 1);
    },
  );

  test.for(CALLS)('%s gives up on one that takes requests and never answers', async ([, call, patience]) => {
    const { clock, control } = open(silent);
    const { error, seconds } = await outcomeOf(clock, call(control));
    expect(error?.name).toBe('Unreachable');
    // The last try may begin when the patience is nearly over, and has half a minute at most.
    expect(seconds).toBeLessThanOrEqual(patience + Math.min(30, patience) + 1);
  });

  test.for(CALLS)('%s shows the token in no error', async ([, call]) => {
    const told = open(() => Promise.reject(new Error('connect ECONNREFUSED')));
    const { error } = await outcomeOf(told.clock, call(told.control));
    expect(JSON.stringify([error?.message, error?.stack, error?.cause ?? ''])).not.toContain('a1a1');
  });

  test('does not wait any longer once it was answered', async () => {
    const { clock, control } = open(status(204));
    await control.end(ended, bytes);
    expect(clock.sleepers()).toBe(0);
  });

  test.for(['', 'x', `${TOKEN}\nx: y`, `${TOKEN.slice(0, -1)}ü`])(
    'is not made with a token that is none, which is not quoted (%#)',
    (token) => {
      const make = () => makeControl({ url: 'http://x', token, runner: RUNNER, clock: fakeClock(), fetch });
      expect(make).toThrow(/^Not a runner token$/);
    },
  );
});

describe('an answer', () => {
  test('to redeem is the order; a refusal means that nothing may be executed, and is not asked again', async () => {
    expect(await open(status(200, '{"argv":["true"]}')).control.redeem()).toEqual({ argv: ['true'] });
    for (const code of [400, 401, 409]) {
      const { control, calls } = open(status(code, '{}'));
      expect(await control.redeem()).toBeUndefined();
      expect(calls).toHaveLength(1);
    }
  });

  test('to redeem that is not the control plane’s own is no refusal: it cannot be reached', async () => {
    const { clock, control } = open(status(403));
    expect((await outcomeOf(clock, control.redeem())).error?.name).toBe('Unreachable');
  });

  test('to a look is what to do; a refusal means that it is over', async () => {
    const outlook = { stop: false, over: false, signals: ['SIGHUP'] };
    expect(await open(status(200, JSON.stringify(outlook))).control.look()).toEqual(outlook);
    expect(await open(status(401)).control.look()).toEqual({ stop: true, over: true, signals: [] });
  });

  test('that something on the way made does not end a command', async () => {
    for (const code of [302, 403, 404, 407, 502]) {
      const { clock, control } = open(status(code));
      expect((await outcomeOf(clock, control.look())).error?.name).toBe('Unreachable');
    }
  });

  test.for([409, 401, 413, 400])(
    '%i to output lets go of it, since the same again would be refused again',
    async (code) => {
      const { control, calls } = open(status(code));
      await control.store(head, bytes);
      expect(calls).toHaveLength(1);
      const body = calls[0]?.init.body as Uint8Array;
      expect(decodeFramed(body)).toEqual({ head, bytes });
    },
  );

  test('to the end says whether someone waited for it', async () => {
    expect(await open(status(204)).control.end(ended, bytes)).toBe(true);
    expect(await open(status(401)).control.end(ended, bytes)).toBe(false);
  });
});

describe('open input', () => {
  const part = (text: string, ended: boolean) => status(200, text, { 'errand-input-ended': String(ended) });

  test('is read on from where it came to, through silence and faults, to its end', async () => {
    const { clock, control, calls } = open(
      part('ab', false),
      part('', false),
      cutOff,
      part('cde', false),
      part('', true),
    );
    const read: string[] = [];
    const reading = (async () => {
      for await (const bytes of control.stdin(new AbortController().signal)) read.push(Buffer.from(bytes).toString());
    })();
    await outcomeOf(clock, reading);
    expect(read).toEqual(['ab', 'cde']);
    expect(calls.map(({ url }) => Number(url.split('from=')[1]))).toEqual([0, 2, 2, 2, 5]);
  });

  test('ends where it is refused', async () => {
    const { control } = open(part('ab', false), status(409));
    const read: Uint8Array[] = [];
    for await (const bytes of control.stdin(new AbortController().signal)) read.push(bytes);
    expect(read).toHaveLength(1);
  });

  test.for<[string, Answer]>([
    ['an answer', silent],
    ['the next try', cutOff],
  ])('is waited for no longer once the command has ended (%s)', async ([, answer]) => {
    const { clock, control } = open(answer);
    const over = new AbortController();
    const reading = outcomeOf(clock, control.stdin(over.signal).next());
    over.abort();
    expect((await reading).seconds).toBe(0);
    expect(clock.sleepers()).toBe(0);
  });
});
