import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../../shared/domain/limits.ts';
import { type Chunk, openOutputWriter } from '../../../shared/store/output-writer.ts';
import { fakeClock, settle } from '../../support/fake-clock.ts';

const open = (store: (chunk: Chunk) => Promise<void>, closing = new AbortController(), promptly = false) => {
  const clock = fakeClock();
  const sizes = { coalesceMs: 20, chunkBytes: 512 * 1024, restBytes: 64 * 1024, keepBytes: 1_000_000 };
  return { clock, closing, writer: openOutputWriter({ clock, closing: closing.signal, store, promptly, ...sizes }) };
};

describe('the output writer', () => {
  test('puts no more changes between the streams into a chunk than may be stored, also while nothing is taken', async () => {
    const chunks: Chunk[] = [];
    let away = true;
    const { clock, writer } = open(async (chunk) => {
      if (away) throw new Error('away');
      chunks.push(chunk);
    });
    const count = LIMITS.outputSegments * 3;
    let written = 0;
    const writing = (async () => {
      for (; written < count; written++) await writer.append(written % 2 ? 'stderr' : 'stdout', Buffer.from([written]));
    })();
    await clock.advance(30_000);
    // Held back meanwhile, rather than gathered.
    expect(written).toBeLessThan(LIMITS.outputSegments * 2);
    away = false;
    await clock.advance(2_000);
    await writing;
    const { totals, rest } = await writer.finish();
    const all = [...chunks, ...(rest ? [rest] : [])];
    for (const { segments } of all) expect(segments.length).toBeLessThanOrEqual(LIMITS.outputSegments + 1);
    expect(Buffer.concat(all.map(({ bytes }) => bytes))).toEqual(
      Buffer.from(Array.from({ length: count }, (_, i) => i)),
    );
    expect(totals).toMatchObject({ stdoutBytes: count / 2, stderrBytes: count / 2 });
  });

  test('stores at once what comes after a silence, where somebody waits for it, and gathers what comes on its heels', async () => {
    const seen: [number, string][] = [];
    const { clock, writer } = open(
      async ({ bytes }) => void seen.push([clock.now() - start, Buffer.from(bytes).toString()]),
      undefined,
      true,
    );
    const start = clock.now();
    for (const [afterMs, text] of [
      [0, 'a'],
      [0, 'b'],
      [5, 'c'],
      [5, 'd'],
      [100, 'e'],
    ] as const) {
      await clock.advance(afterMs);
      await writer.append('stdout', Buffer.from(text));
    }
    await clock.advance(1);
    expect(seen).toEqual([
      [1, 'ab'],
      [21, 'cd'],
      [111, 'e'],
    ]);
  });

  test('given up on tells whoever ends it, and nobody else: no promise is left to fail unheard', async () => {
    const unheard: unknown[] = [];
    const hear = (error: unknown) => unheard.push(error);
    process.on('unhandledRejection', hear);
    const { clock, closing, writer } = open(() => Promise.reject(new Error('the disk is full')));
    await writer.append('stdout', Buffer.from('x'));
    await clock.advance(5_000);
    closing.abort();
    await settle();
    process.off('unhandledRejection', hear);
    expect(unheard).toEqual([]);
    await expect(writer.finish()).rejects.toThrow('the disk is full');
  });
});
