import { once } from 'node:events';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { feedStdin } from '../../../clients/cli/stdin-feed.ts';
import { ApiError } from '../../../clients/sdk/errors.ts';

const KiB = 1024;

/** Takes parts as the server does, and keeps them. */
const recording = (onPart: (count: number) => void = () => {}) => {
  const parts: Buffer[] = [];
  let ends = 0;
  let size = 0;
  return {
    parts,
    ends: () => ends,
    async writeStdin(_: string, bytes: Uint8Array, from: number) {
      expect(from).toBe(size);
      parts.push(Buffer.from(bytes));
      size += bytes.length;
      onPart(parts.length);
      await new Promise((resolve) => setImmediate(resolve));
      return { stdinBytes: size, ended: false };
    },
    async endStdin() {
      ends++;
      return { stdinBytes: size, ended: true };
    },
  };
};

const problem = (code: string) => new ApiError({ type: 'about:blank', title: code, status: 409, code });
const never = new AbortController().signal;

/** Gives something now, and never ends. */
const endless = () => new Readable({ read() {} });

describe('input', () => {
  test('arrives whole, in order, in parts of at most 256 KiB, and is ended once', async () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 600 * KiB }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(sizes, async (lengths) => {
        const pieces = lengths.map((length, n) => Buffer.alloc(length, `${n}`));
        const server = recording();
        await feedStdin(server, 'cmd_x', { stdin: Readable.from(pieces, { objectMode: false }) }, never);
        expect(Buffer.compare(Buffer.concat(server.parts), Buffer.concat(pieces))).toBe(0);
        expect(Math.max(0, ...server.parts.map((part) => part.length))).toBeLessThanOrEqual(256 * KiB);
        expect(server.ends()).toBe(1);
      }),
      { numRuns: 50 },
    );
  });

  test('that comes in drops while a part is under way goes together', async () => {
    const stdin = endless();
    const server = recording((count) => {
      if (count === 1) for (let n = 0; n < 100; n++) stdin.push('x');
      if (count === 2) stdin.push(null);
    });
    stdin.push('first');
    await feedStdin(server, 'cmd_x', { stdin }, never);
    expect(server.parts.map(String)).toEqual(['first', 'x'.repeat(100)]);
  });

  test('is ended at once when it is empty', async () => {
    const server = recording();
    await feedStdin(server, 'cmd_x', { stdin: Readable.from([]) }, never);
    expect([server.parts.length, server.ends()]).toEqual([0, 1]);
  });

  test('of a producer that never ends is left when the command has ended, and not ended for it', async () => {
    const over = new AbortController();
    const stdin = endless();
    const server = recording(() => over.abort());
    stdin.push('some');
    await feedStdin(server, 'cmd_x', { stdin }, over.signal);
    expect([stdin.destroyed, server.ends()]).toEqual([true, 0]);
  });

  test('is left when the server says that the command has ended', async () => {
    const stdin = endless();
    stdin.push('some');
    const server = { ...recording(), writeStdin: () => Promise.reject(problem('already-final')) };
    await feedStdin(server, 'cmd_x', { stdin }, never);
    expect(stdin.destroyed).toBe(true);
  });

  test('that the server refuses is a fault', async () => {
    const server = { ...recording(), writeStdin: () => Promise.reject(problem('too-large')) };
    await expect(feedStdin(server, 'cmd_x', { stdin: Readable.from([Buffer.from('x')]) }, never)).rejects.toThrow(
      'too-large',
    );
  });

  test('that cannot be read is a fault, after what could be read was passed on', async () => {
    const stdin = endless();
    const server = recording(() => stdin.destroy(new Error('the disk is gone')));
    stdin.push('some');
    const feeding = feedStdin(server, 'cmd_x', { stdin }, never);
    await expect(feeding).rejects.toThrow('the disk is gone');
    expect([server.parts.map(String), server.ends()]).toEqual([['some'], 0]);
  });

  test('faster than it is taken is held back', async () => {
    let produced = 0;
    const stdin = new Readable({
      highWaterMark: 64 * KiB,
      read() {
        produced += 64 * KiB;
        this.push(produced > 64 * KiB * 1_000 ? null : Buffer.alloc(64 * KiB));
      },
    });
    let most = 0;
    let taken = 0;
    const server = {
      async writeStdin(_: string, bytes: Uint8Array) {
        await new Promise((resolve) => setImmediate(resolve));
        taken += bytes.length;
        most = Math.max(most, produced - taken);
        return { stdinBytes: taken, ended: false };
      },
      endStdin: async () => ({ stdinBytes: taken, ended: true }),
    };
    await feedStdin(server, 'cmd_x', { stdin }, never);
    if (!stdin.closed) await once(stdin, 'close');
    expect(taken).toBe(64_000 * KiB);
    expect(most).toBeLessThan(1_024 * KiB);
  });
});
