import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CommandEvent, readEvents } from '../../clients/sdk/events.ts';
import { openErrand, problemOf, sh } from '../support/errand.ts';

type Errand = Awaited<ReturnType<typeof openErrand>>;

const bytesOf = async (errand: Errand, id: string, query = '', headers: Record<string, string> = {}) => {
  const response = await errand.request('GET', `/v1/commands/${id}/output${query}`, undefined, headers);
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) };
};

/** Reads live events from a position on; cut off after so many. */
const follow = async (errand: Errand, id: string, { after = '', query = '', most = Number.POSITIVE_INFINITY } = {}) => {
  const headers = { accept: 'text/event-stream', ...(after ? { 'last-event-id': after } : {}) };
  const response = await errand.request('GET', `/v1/commands/${id}/output${query}`, undefined, headers);
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  const events: { id: string; event: CommandEvent }[] = [];
  if (most === 0) await response.body?.cancel();
  else {
    for await (const event of readEvents(response.body as ReadableStream<Uint8Array>)) {
      events.push(event);
      if (events.length >= most) break;
    }
  }
  return events;
};

const joined = (events: readonly { event: CommandEvent }[], stream: 'stdout' | 'stderr'): Buffer =>
  Buffer.concat(events.flatMap(({ event }) => (event.type === stream ? [event.bytes] : [])));

/** 300 kB of stdout and 100 kB of stderr, interleaved, in chunks both small and large. */
const CHATTY = 'for i in $(seq 100); do head -c 3000 /dev/urandom; head -c 1000 /dev/urandom >&2; done';

describe('output as bytes', () => {
  test('is exact, of one stream or of both in the order in which they came', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit(
      sh("printf 'a\\377\\303'; sleep 0.1; printf 'E\\200' >&2; sleep 0.1; printf '\\251z'"),
    );
    expect((await bytesOf(errand, id, '?stream=stdout')).bytes).toEqual(Buffer.from([0x61, 0xff, 0xc3, 0xa9, 0x7a]));
    expect((await bytesOf(errand, id, '?stream=stderr')).bytes).toEqual(Buffer.from([0x45, 0x80]));
    const both = await bytesOf(errand, id);
    expect(both.bytes).toEqual(Buffer.from([0x61, 0xff, 0xc3, 0x45, 0x80, 0xa9, 0x7a]));
    expect(both.headers.get('content-type')).toBe('application/octet-stream');
    expect(both.headers.get('errand-output-complete')).toBe('true');
  });

  test('characters of many bytes that fall between chunks come back whole', async () => {
    const errand = await openErrand();
    const text = 'é€😀'.repeat(20_000);
    // In blocks of 7 bytes, which fit none of the characters.
    const argv = ['dd', 'bs=7', 'status=none'];
    const { id } = await errand.submit({ argv, stdinBase64: Buffer.from(text).toString('base64') });
    expect((await bytesOf(errand, id)).bytes.toString()).toBe(text);
    expect(joined(await follow(errand, id), 'stdout').toString()).toBe(text);
  });

  test('from any offset of either stream is the rest of it', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit(sh(CHATTY));
    for (const query of ['stream=stdout', 'stream=stderr', '']) {
      const { bytes } = await bytesOf(errand, id, `?${query}`);
      expect(bytes.length).toBe({ 'stream=stdout': 300_000, 'stream=stderr': 100_000, '': 400_000 }[query]);
      for (const from of [0, 1, 999, 1_000, 65_536, bytes.length - 1, bytes.length]) {
        const rest = (await bytesOf(errand, id, `?from=${from}&${query}`)).bytes;
        expect(Buffer.compare(rest, bytes.subarray(from))).toBe(0);
      }
      expect((await bytesOf(errand, id, `?from=${bytes.length + 1}&${query}`)).status).toBe(416);
    }
  });

  test.for<[string, number, string | null, string]>([
    ['bytes=0-3', 206, 'bytes 0-3/10', '0123'],
    ['bytes=4-', 206, 'bytes 4-9/10', '456789'],
    ['bytes=-3', 206, 'bytes 7-9/10', '789'],
    ['bytes=-30', 206, 'bytes 0-9/10', '0123456789'],
    ['bytes=8-99', 206, 'bytes 8-9/10', '89'],
    ['bytes=10-', 416, 'bytes */10', ''],
    ['bytes=0-1,3-4', 200, null, '0123456789'],
    ['lines=1-2', 200, null, '0123456789'],
  ])('the range %s is %i', async ([range, status, contentRange, text]) => {
    const errand = await openErrand();
    const { id } = await errand.submit(sh('printf 0123456789'));
    const got = await bytesOf(errand, id, '', { range });
    expect([got.status, got.headers.get('content-range')]).toEqual([status, contentRange]);
    if (status < 300) expect(got.bytes.toString()).toBe(text);
  });

  test('of a command that has written nothing is empty', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit({ argv: ['true'] });
    expect(await bytesOf(errand, id)).toMatchObject({ status: 200, bytes: Buffer.alloc(0) });
  });

  test('of each attempt is kept', async () => {
    const errand = await openErrand();
    const file = `${errand.dataDirectory}/tries`;
    const script = `echo x >> ${file}; wc -l < ${file}; [ $(wc -l < ${file}) -ge 2 ]`;
    const { id } = await errand.submit(sh(script, { retry: { maxAttempts: 2, on: ['nonzero-exit'] } }));
    expect((await bytesOf(errand, id)).bytes.toString()).toBe('2\n');
    expect((await bytesOf(errand, id, '?attempt=1')).bytes.toString()).toBe('1\n');
    const events = await follow(errand, id);
    expect(joined(events, 'stdout').toString()).toBe('1\n2\n');
  });

  test('stdout and stderr in the record are the first 64 KiB, also of the one that comes after much of the other', async () => {
    const errand = await openErrand();
    const command = await errand.submit(sh('head -c 3000000 /dev/zero | tr "\\0" x; echo err >&2'));
    expect(command).toMatchObject({ stderr: 'err\n', outputTruncated: true, result: { stdoutBytes: 3_000_000 } });
    expect(command.stdout).toBe('x'.repeat(65_536));
  });
});

describe('output live', () => {
  test('tells the status, the bytes of each stream with their offsets, and ends with the finished command', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit(sh('printf ab; printf E >&2; sleep 0.1; printf cd; exit 3'), {});
    const events = (await follow(errand, id)).map(({ event }) => event);
    expect(events.at(-1)).toMatchObject({ type: 'end', command: { id, status: 'failed', result: { exitCode: 3 } } });
    expect(events.flatMap((event) => (event.type === 'status' ? [event.status] : [])).at(-1)).toBe('failed');
    let expected = 0;
    for (const event of events) {
      if (event.type !== 'stdout') continue;
      expect(event.offset).toBe(expected);
      expected += event.bytes.length;
    }
    expect(expected).toBe(4);
  });

  test('cut off at any event and resumed gives every byte once', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit(sh(CHATTY));
    const whole = await follow(errand, id);
    const expected = { stdout: joined(whole, 'stdout'), stderr: joined(whole, 'stderr') };
    expect(expected.stdout.length + expected.stderr.length).toBe(400_000);
    for (const cut of whole.keys()) {
      const first = whole.slice(0, cut);
      const rest = await follow(errand, id, { after: first.at(-1)?.id ?? '' });
      for (const stream of ['stdout', 'stderr'] as const) {
        const both = Buffer.concat([joined(first, stream), joined(rest, stream)]);
        expect(Buffer.compare(both, expected[stream])).toBe(0);
      }
      expect(rest.at(-1)?.event.type).toBe('end');
    }
  });

  test('cut off again and again while it runs gives every byte once', async () => {
    const errand = await openErrand();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 30 }), async (cuts) => {
        const { id } = await errand.submit(sh('for i in $(seq 300); do echo "line $i"; echo "err $i" >&2; done'), {});
        const events: { id: string; event: CommandEvent }[] = [];
        for (const most of [...cuts, Number.POSITIVE_INFINITY]) {
          if (events.at(-1)?.event.type === 'end') break;
          events.push(...(await follow(errand, id, { after: events.at(-1)?.id ?? '', most })));
        }
        const lines = (word: string) => Array.from({ length: 300 }, (_, i) => `${word} ${i + 1}\n`).join('');
        expect(joined(events, 'stdout').toString()).toBe(lines('line'));
        expect(joined(events, 'stderr').toString()).toBe(lines('err'));
      }),
      { numRuns: 10 },
    );
  });

  test('of one stream from a byte on leaves out the other and what was before', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit(sh(CHATTY));
    const { bytes } = await bytesOf(errand, id, '?stream=stderr');
    for (const from of [0, 1, 50_001, 99_999]) {
      const events = await follow(errand, id, { query: `?stream=stderr&from=${from}` });
      expect(joined(events, 'stdout').length).toBe(0);
      expect(Buffer.compare(joined(events, 'stderr'), bytes.subarray(from))).toBe(0);
    }
  });

  test('resumed with what is no event of ours is refused', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit({ argv: ['true'] });
    const headers = { accept: 'text/event-stream', 'last-event-id': '7' };
    const response = await errand.request('GET', `/v1/commands/${id}/output`, undefined, headers);
    expect([response.status, (await problemOf(response)).errors?.[0]?.pointer]).toEqual([400, '/last-event-id']);
  });

  test('a reader that leaves is let go of, and one that stops reading halts nobody', async () => {
    const errand = await openErrand();
    const { id } = await errand.submit(sh('head -c 30000000 /dev/zero'), {});
    const headers = { accept: 'text/event-stream' };
    const stuck = await errand.request('GET', `/v1/commands/${id}/output`, undefined, headers);
    const left = await errand.request('GET', `/v1/commands/${id}/output`, undefined, headers);
    await left.body?.cancel();
    const hash = createHash('sha256');
    for (const { event } of await follow(errand, id)) if (event.type === 'stdout') hash.update(event.bytes);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(Buffer.alloc(30_000_000)).digest('hex'));
    expect((await errand.submit({ argv: ['true'] })).status).toBe('succeeded');
    await stuck.body?.cancel();
  });
});
