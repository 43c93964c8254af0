import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { piecesOf, sizeOfOutput } from '../../../shared/app/read-output.ts';
import type { OutputTotals, StreamName } from '../../../shared/domain/output.ts';
import { filesObjects } from '../../../shared/objects/files.ts';
import { makeOutputLog, type OutputLog } from '../../../shared/store/output-log.ts';
import type { OutputWriter } from '../../../shared/store/output-writer.ts';
import { referenceOf } from '../../../shared/store/schema.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import { aCommand, anAttempt } from '../../support/commands.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { tempDirectory } from '../../support/temp-directory.ts';

const command = aCommand();
const reference = referenceOf(command.tenant, command.id);

const open = (over: { keepBytes?: number; store?: ReturnType<typeof sqliteStore> } = {}) => {
  const clock = fakeClock();
  const store = over.store ?? sqliteStore({ file: ':memory:' });
  const closing = new AbortController();
  const log = makeOutputLog(store, filesObjects({ directory: tempDirectory() }), {
    clock,
    closing: closing.signal,
    coalesceMs: 20,
    // Small, so that a few bytes go all the ways that gigabytes do: coalesced, as items, as objects.
    chunkBytes: 64,
    inlineBytes: 32,
    keepBytes: over.keepBytes ?? 1_000_000,
    stored: () => {},
  });
  return { clock, store, log, closing };
};

const write = fc.record({
  stream: fc.constantFrom<StreamName>('stdout', 'stderr'),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 150 }),
  /** Time that passes before the next. */
  waitMs: fc.constantFrom(0, 0, 20),
});

const joined = async (pieces: AsyncIterable<{ bytes: Uint8Array }>): Promise<Buffer> => {
  const all: Uint8Array[] = [];
  for await (const { bytes } of pieces) all.push(bytes);
  return Buffer.concat(all);
};

/** Stores what the end brings, as those who store the end do. */
const finish = async (log: OutputLog, writer: OutputWriter, attempt = 1): Promise<OutputTotals> => {
  const { totals, rest } = await writer.finish();
  if (rest) await log.append(reference, attempt, rest);
  return totals;
};

describe('the output log', () => {
  test('gives back what was written, from any byte on, of each stream and of both', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(write, { maxLength: 30 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (writes, where) => {
          const { clock, store, log } = open();
          const writer = log.openWriter(reference, 1);
          const expected = { both: Buffer.alloc(0), stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
          for (const { stream, bytes, waitMs } of writes) {
            await writer.append(stream, bytes);
            expected[stream] = Buffer.concat([expected[stream], bytes]);
            expected.both = Buffer.concat([expected.both, bytes]);
            if (waitMs > 0) await clock.advance(waitMs);
          }
          const totals = await finish(log, writer);
          expect(totals).toEqual({
            stdoutBytes: expected.stdout.length,
            stderrBytes: expected.stderr.length,
            droppedBytes: 0,
          });
          expect(await log.size(reference, 1)).toEqual({
            stdoutBytes: expected.stdout.length,
            stderrBytes: expected.stderr.length,
          });
          for (const name of ['both', 'stdout', 'stderr'] as const) {
            const stream = name === 'both' ? undefined : name;
            const from = Math.floor(where * expected[name].length);
            const got = await joined(piecesOf({ output: log }, command, 1, { stream, from }));
            expect(Buffer.compare(got, expected[name].subarray(from))).toBe(0);
          }
          await store.close();
        },
      ),
      { numRuns: 150 },
    );
  });

  test('tells of each piece where it lies in its stream and where the log goes on', async () => {
    const { log } = open();
    const writer = log.openWriter(reference, 1);
    await writer.append('stdout', Buffer.from('ab'));
    await writer.append('stderr', Buffer.from('E'));
    await writer.append('stdout', Buffer.from('cd'));
    await finish(log, writer);
    const pieces: unknown[] = [];
    for await (const { bytes, ...piece } of piecesOf({ output: log }, command, 1, { from: 1 })) {
      pieces.push({ ...piece, text: Buffer.from(bytes).toString() });
    }
    expect(pieces).toEqual([
      { stream: 'stdout', text: 'b', offset: 1, end: 2 },
      { stream: 'stderr', text: 'E', offset: 0, end: 3 },
      { stream: 'stdout', text: 'cd', offset: 2, end: 5 },
    ]);
  });

  test('keeps no more than the limit, and counts the rest', async () => {
    const { log } = open({ keepBytes: 100 });
    const writer = log.openWriter(reference, 1);
    await writer.append('stdout', Buffer.alloc(90, 'a'));
    await writer.append('stderr', Buffer.alloc(30, 'b'));
    await writer.append('stdout', Buffer.alloc(5, 'c'));
    const totals = await finish(log, writer);
    expect(totals).toEqual({ stdoutBytes: 90, stderrBytes: 10, droppedBytes: 25 });
    expect((await joined(piecesOf({ output: log }, command, 1, {}))).toString()).toBe('a'.repeat(90) + 'b'.repeat(10));
  });

  test('holds the writer back while the store takes nothing, and loses nothing', async () => {
    const real = sqliteStore({ file: ':memory:' });
    let away = true;
    const { clock, log } = open({
      store: { ...real, write: (writes) => (away ? Promise.reject(new Error('full')) : real.write(writes)) },
    });
    const writer = log.openWriter(reference, 1);
    // One chunk is on its way to the store and one may wait behind it.
    await writer.append('stdout', Buffer.alloc(100, 'a'));
    let taken = false;
    const appending = writer.append('stdout', Buffer.alloc(100, 'b')).then(() => (taken = true));
    await clock.advance(10_000);
    expect(taken).toBe(false);
    away = false;
    while (!taken) await clock.advance(1_000);
    await appending;
    await finish(log, writer);
    expect((await joined(piecesOf({ output: log }, command, 1, {}))).toString()).toBe(
      'a'.repeat(100) + 'b'.repeat(100),
    );
  });

  test.for<[string, number]>([
    ['small, as items', 10],
    ['large, as objects', 100],
  ])('of two writers that cut the same output differently one goes on and one is told (%s)', async ([, size]) => {
    const { clock, log } = open();
    const bytes = Buffer.from(Array.from({ length: 3 * size }, (_, i) => i % 251));
    const slow = log.openWriter(reference, 1);
    await slow.append('stdout', bytes.subarray(0, size));
    await clock.advance(20);
    // Both have come here. The other one is faster, and has more.
    const other = { stdoutOffset: size, stderrOffset: 0, segments: [{ stream: 'stdout' as const, length: 2 * size }] };
    await log.append(reference, 1, { ...other, bytes: bytes.subarray(size) });
    const late = async (): Promise<void> => {
      await slow.append('stdout', bytes.subarray(size, 2 * size - 1));
      await finish(log, slow);
    };
    await expect(late()).rejects.toMatchObject({ code: 'conflict' });
    expect(await log.size(reference, 1)).toEqual({ stdoutBytes: 3 * size, stderrBytes: 0 });
    expect(Buffer.compare(await joined(piecesOf({ output: log }, command, 1, {})), bytes)).toBe(0);
  });

  test('a chunk that is stored already, answer lost, is stored', async () => {
    const { log } = open();
    const chunk = { stdoutOffset: 0, stderrOffset: 0, segments: [{ stream: 'stdout' as const, length: 3 }] };
    await log.append(reference, 1, { ...chunk, bytes: Buffer.from('abc') });
    await log.append(reference, 1, { ...chunk, bytes: Buffer.from('abc') });
    expect((await joined(piecesOf({ output: log }, command, 1, {}))).toString()).toBe('abc');
  });

  test('keeps attempts apart', async () => {
    const { log } = open();
    for (const attempt of [1, 2, 10]) {
      const writer = log.openWriter(reference, attempt);
      await writer.append('stdout', Buffer.from(`attempt ${attempt}`));
      await finish(log, writer, attempt);
    }
    expect((await joined(piecesOf({ output: log }, command, 1, {}))).toString()).toBe('attempt 1');
    expect((await joined(piecesOf({ output: log }, command, 10, {}))).toString()).toBe('attempt 10');
    expect(await log.size(reference, 3)).toEqual({ stdoutBytes: 0, stderrBytes: 0 });
  });

  test.for([
    { status: 'timed_out', all: 'abc' },
    // What is lost may have been on its way.
    { status: 'lost', all: 'abcdef' },
  ] as const)('what comes after an end is none of the output, unless it is $status: $all', async ({ status, all }) => {
    const { log } = open();
    const chunk = { stdoutOffset: 0, stderrOffset: 0, segments: [{ stream: 'stdout' as const, length: 3 }] };
    await log.append(reference, 1, { ...chunk, bytes: Buffer.from('abc') });
    await log.append(reference, 1, { ...chunk, stdoutOffset: 3, bytes: Buffer.from('def') });
    const result = { exitCode: null, reason: status, stdoutBytes: 3, stderrBytes: 0, droppedBytes: 0 } as const;
    const ended = aCommand({ attempts: [anAttempt({ status, result: result as never })] });
    for (const stream of [undefined, 'stdout'] as const) {
      expect((await joined(piecesOf({ output: log }, ended, 1, { stream }))).toString()).toBe(all);
      expect((await joined(piecesOf({ output: log }, ended, 1, { stream, from: 4 }))).toString()).toBe(all.slice(4));
    }
    expect(await sizeOfOutput({ output: log }, ended, 1)).toMatchObject({ stdoutBytes: all.length, stderrBytes: 0 });
  });
});
