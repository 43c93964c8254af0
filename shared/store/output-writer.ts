import type { Clock } from '../domain/clock.ts';
import { isConflict } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import type { OutputTotals, Segment, StreamName } from '../domain/output.ts';

/** A piece of an attempt's output: how much of each stream came before it, and what it holds in which order. */
export interface Chunk {
  readonly stdoutOffset: number;
  readonly stderrOffset: number;
  readonly segments: readonly Segment[];
  readonly bytes: Uint8Array;
}

export interface OutputWriterOptions {
  readonly clock: Clock;
  /** Aborts when the process is about to end: then a sink that takes nothing is given up on. */
  readonly closing: AbortSignal;
  /**
   * Stores a chunk. It is called again with the same one when it rejects, also when it was stored all the same; not after
   * an AppError 'conflict', by which it says that someone else writes this output.
   */
  readonly store: (chunk: Chunk) => Promise<void>;
  /** Bytes wait so long for more, so that a chatty command does not cost a write for each line. */
  readonly coalesceMs: number;
  /** Counted from the last time that something was stored, so that what comes after a silence is stored at once. @default false */
  readonly promptly?: boolean;
  /** A chunk is stored once it has so many bytes. */
  readonly chunkBytes: number;
  /** As much may be left for the end. */
  readonly restBytes: number;
  /** Kept of one attempt; the rest is counted only. */
  readonly keepBytes: number;
}

/** Takes an attempt's output as it comes, and stores it a chunk at a time. */
export interface OutputWriter {
  /** Resolves when there is room for more: whoever waits for it slows the command down, not the memory up. */
  append(stream: StreamName, bytes: Uint8Array): Promise<void>;
  /** Ends the output. What is small and not stored yet comes back, to be stored together with the attempt's end. */
  finish(): Promise<{ readonly totals: OutputTotals; readonly rest: Chunk | undefined }>;
}

/** Waits between tries to store output that the sink did not take. */
const RETRY_MS = 1_000;
/** What one answer to a key writes comes in one piece, if in several writes. */
const AWAITED_MS = 1;

export const openOutputWriter = (options: OutputWriterOptions): OutputWriter => {
  const { clock, closing, coalesceMs, chunkBytes, restBytes, keepBytes, promptly = false } = options;
  const written = { stdout: 0, stderr: 0 };
  const chunkStart = { stdout: 0, stderr: 0 };
  let dropped = 0;
  let segments: { stream: StreamName; length: number }[] = [];
  let pieces: Uint8Array[] = [];
  let pendingBytes = 0;
  let storedAt = Number.NEGATIVE_INFINITY;
  let finished = false;
  let draining: Promise<void> | undefined;
  /** Ends the wait for more bytes. */
  let hurry = () => {};
  /** Resolves when what is pending is taken, to be stored: the next chunk fills up meanwhile. */
  let room = Promise.withResolvers<void>();

  const take = (): Chunk => {
    const chunk: Chunk = {
      stdoutOffset: chunkStart.stdout,
      stderrOffset: chunkStart.stderr,
      segments,
      bytes: pendingBytes > restBytes ? gatherInSpare(pieces, pendingBytes, chunkBytes) : Buffer.concat(pieces),
    };
    for (const { stream, length } of segments) chunkStart[stream] += length;
    segments = [];
    pieces = [];
    pendingBytes = 0;
    room.resolve();
    room = Promise.withResolvers();
    return chunk;
  };

  /** Until it is stored: a full disk holds the command back, it does not lose its output. */
  const storeChunk = async (chunk: Chunk): Promise<void> => {
    for (;;) {
      try {
        return await options.store(chunk);
      } catch (error) {
        if (closing.aborted || isConflict(error)) throw error;
        await clock.sleep(RETRY_MS, closing);
      }
    }
  };

  const waitForMore = (): Promise<void> =>
    new Promise((resolve) => {
      const silentMs = promptly ? clock.now() - storedAt : 0;
      const callOff = clock.after(Math.min(coalesceMs, Math.max(AWAITED_MS, coalesceMs - silentMs)), resolve);
      hurry = () => {
        callOff();
        resolve();
      };
    });

  const isFull = (): boolean => pendingBytes >= chunkBytes || segments.length >= LIMITS.outputSegments;

  /** Stores what is pending, a chunk at a time; the last small one is left for the end. */
  const drain = async (): Promise<void> => {
    while (pendingBytes > 0) {
      if (!isFull() && !finished) {
        await waitForMore();
      }
      if (finished && pendingBytes <= restBytes) break;
      const chunk = take();
      await storeChunk(chunk);
      if (promptly) storedAt = clock.now();
      giveBack(chunk.bytes, chunkBytes);
    }
    draining = undefined;
  };

  return {
    async append(stream, bytes) {
      const kept = Math.max(0, Math.min(bytes.length, keepBytes - written.stdout - written.stderr));
      dropped += bytes.length - kept;
      if (kept === 0) return;
      written[stream] += kept;
      pieces.push(kept === bytes.length ? bytes : bytes.subarray(0, kept));
      pendingBytes += kept;
      const last = segments.at(-1);
      if (last?.stream === stream) last.length += kept;
      else segments.push({ stream, length: kept });
      draining ??= drain();
      // Whoever waits for it hears of it, now or at the end.
      draining.catch(() => {});
      if (!isFull()) return;
      hurry();
      await Promise.race([room.promise, draining]);
    },

    async finish() {
      finished = true;
      hurry();
      await draining;
      const totals = { stdoutBytes: written.stdout, stderrBytes: written.stderr, droppedBytes: dropped };
      return { totals, rest: pendingBytes === 0 ? undefined : take() };
    },
  };
};

/** The last piece of a chunk may be so much longer than what the chunk still wanted. */
const LONGEST_USUAL_PIECE = 64 * 1024;
const MOST_SPARE = 4;
const spare: Uint8Array[] = [];

/**
 * Large chunks are gathered in buffers that are used again. Memory outside of V8's heap makes it collect garbage by the
 * megabyte: with new ones for each chunk, that was half of what a large output cost.
 */
const gatherInSpare = (pieces: readonly Uint8Array[], length: number, chunkBytes: number): Uint8Array => {
  const roomBytes = chunkBytes + LONGEST_USUAL_PIECE;
  if (length > roomBytes) return Buffer.concat(pieces);
  const room = spare.find((one) => one.length === roomBytes) ?? Buffer.allocUnsafeSlow(roomBytes);
  const at = spare.indexOf(room);
  if (at >= 0) spare.splice(at, 1);
  let filled = 0;
  for (const piece of pieces) {
    room.set(piece, filled);
    filled += piece.length;
  }
  return room.subarray(0, length);
};

/** Only once nobody reads it any more. */
const giveBack = ({ buffer }: Uint8Array, chunkBytes: number): void => {
  if (buffer.byteLength === chunkBytes + LONGEST_USUAL_PIECE && spare.length < MOST_SPARE) {
    spare.push(Buffer.from(buffer));
  }
};
