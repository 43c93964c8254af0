import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeOutputTail } from '../../../runner/lambda/output-tail.ts';
import { LIMITS } from '../../../shared/domain/limits.ts';
import type { StreamName } from '../../../shared/domain/output.ts';

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('latin1');
const piece = fc.record({
  stream: fc.constantFrom<StreamName>('stdout', 'stderr'),
  // Around the size of a block, so that pieces begin and end anywhere in one.
  length: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 60_000, max: 140_000 })),
});

describe('the tail of an output', () => {
  test('gives back what came from any stored byte on, in its order, chunk by chunk', () => {
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }),
        fc.integer({ min: 1, max: 200_000 }),
        (pieces, cuts, most) => {
          const tail = makeOutputTail(1_000_000);
          /** Each byte as the stream that it is of; and what it holds. */
          let streams = '';
          let all = Buffer.alloc(0);
          pieces.forEach(({ stream, length }, n) => {
            const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 31 + n) % 256));
            tail.append(stream, bytes);
            // The caller may use its buffer again.
            all = Buffer.concat([all, bytes]);
            bytes.fill(0);
            streams += (stream === 'stdout' ? 'o' : 'e').repeat(length);
          });
          const sizeAt = (at: number) => {
            const stdoutBytes = streams.slice(0, at).replaceAll('e', '').length;
            return { stdoutBytes, stderrBytes: at - stdoutBytes };
          };
          let stored = 0;
          for (const cut of [...cuts, 0]) {
            stored += Math.floor((streams.length - stored) * cut);
            expect(tail.forget(sizeAt(stored))).toBe(true);
            expect(tail.bytes()).toBe(streams.length - stored);
            const chunk = tail.next(most);
            if (!chunk) {
              expect(stored).toBe(streams.length);
              continue;
            }
            expect({ stdoutBytes: chunk.stdoutOffset, stderrBytes: chunk.stderrOffset }).toEqual(sizeAt(stored));
            const end = stored + Math.min(most, streams.length - stored);
            expect(text(chunk.bytes) === text(all.subarray(stored, end))).toBe(true);
            const told = chunk.segments.map((one) => (one.stream === 'stdout' ? 'o' : 'e').repeat(one.length)).join('');
            expect(told === streams.slice(stored, end)).toBe(true);
          }
          expect(tail.totals()).toEqual(sizeAt(streams.length));
        },
      ),
      { numRuns: 200 },
    );
  });

  test.for<[string, { stdoutBytes: number; stderrBytes: number }]>([
    ['more than ever came', { stdoutBytes: 5, stderrBytes: 0 }],
    ['as much, of another stream', { stdoutBytes: 1, stderrBytes: 2 }],
  ])('stored as %s it is another output, and nothing is forgotten', ([, stored]) => {
    const tail = makeOutputTail(1_000);
    tail.append('stdout', Buffer.from('abc'));
    tail.append('stderr', Buffer.from('d'));
    expect(tail.forget(stored)).toBe(false);
    expect([tail.bytes(), text(tail.next(100)?.bytes)]).toEqual([4, 'abcd']);
  });

  test('an answer that was overtaken changes nothing', () => {
    const tail = makeOutputTail(1_000);
    tail.append('stdout', Buffer.from('abcdef'));
    expect(tail.forget({ stdoutBytes: 4, stderrBytes: 0 })).toBe(true);
    expect(tail.forget({ stdoutBytes: 2, stderrBytes: 0 })).toBe(true);
    expect(text(tail.next(100)?.bytes)).toBe('ef');
  });

  test('is full by its bytes, and by how often the streams change', () => {
    const tail = makeOutputTail(1_000);
    tail.append('stdout', Buffer.alloc(500));
    expect(tail.fullness()).toBe(0.5);
    tail.append('stdout', Buffer.alloc(500));
    expect(tail.fullness()).toBe(1);
    const changing = makeOutputTail(2 ** 30);
    for (let n = 0; changing.fullness() < 1; n++) changing.append(n % 2 ? 'stdout' : 'stderr', Buffer.from('x'));
    expect(changing.bytes()).toBe(16 * LIMITS.outputSegments);
    expect(changing.next(2 ** 30)?.segments).toHaveLength(LIMITS.outputSegments);
  });
});
