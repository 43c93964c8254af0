import type { Clock } from '../domain/clock.ts';
import type { OutputTotals, Segment, StreamName } from '../domain/output.ts';
import type { Objects } from '../objects/objects.ts';
import { keys, type Reference } from './schema.ts';
import type { Store, Write } from './store.ts';

/** What is stored of a chunk beside its bytes. */
export interface ChunkData {
  readonly stdoutOffset: number;
  readonly stderrOffset: number;
  readonly segments: readonly Segment[];
  /** Where the bytes are when they are too many for an item. */
  readonly object?: string;
}

export interface OutputWriterOptions {
  readonly clock: Clock;
  /** Aborts when the process is about to end: then a store that takes nothing is given up on. */
  readonly closing: AbortSignal;
  /** Called when new output can be read. */
  readonly stored: (reference: Reference) => void;
  /** Bytes wait so long for more, so that a chatty command does not cost a write for each line. */
  readonly coalesceMs: number;
  /** A chunk is written once it has so many bytes. */
  readonly chunkBytes: number;
  /** Chunks larger than this become objects. */
  readonly inlineBytes: number;
  /** Kept of one attempt; the rest is counted only. */
  readonly keepBytes: number;
}

export const DEFAULT_OUTPUT = {
  coalesceMs: 20,
  // Twice as much is a third faster, and doubles what readers and writers of large outputs hold in memory.
  chunkBytes: 512 * 1024,
  inlineBytes: 64 * 1024,
} as const;

/** Takes an attempt's output as it comes. */
export interface OutputWriter {
  /** Resolves when there is room for more: whoever waits for it slows the command down, not the memory up. */
  append(stream: StreamName, bytes: Uint8Array): Promise<void>;
  /**
   * Ends the output. What is small and not stored yet comes back as writes, to be stored in one transaction with
   * the attempt's end.
   */
  finish(): Promise<{ readonly totals: OutputTotals; readonly writes: readonly Write[] }>;
}

/** Waits between tries to store output that the store did not take. */
const RETRY_MS = 1_000;

export const openOutputWriter = (
  store: Store,
  objects: Objects,
  reference: Reference,
  attempt: number,
  options: OutputWriterOptions,
): OutputWriter => {
  const { clock, closing, coalesceMs, chunkBytes, inlineBytes, keepBytes } = options;
  const written = { stdout: 0, stderr: 0 };
  const chunkStart = { stdout: 0, stderr: 0 };
  let dropped = 0;
  let segments: { stream: StreamName; length: number }[] = [];
  let pieces: Uint8Array[] = [];
  let pendingBytes = 0;
  let finished = false;
  let draining: Promise<void> | undefined;
  /** Aborted, it ends the wait for more bytes. */
  let coalescing: AbortController | undefined;

  const take = (): { data: ChunkData; bytes: Uint8Array } => {
    const data = {
      stdoutOffset: chunkStart.stdout,
      stderrOffset: chunkStart.stderr,
      segments: segments as readonly Segment[],
    };
    const bytes = Buffer.concat(pieces, pendingBytes);
    for (const { stream, length } of segments) chunkStart[stream] += length;
    segments = [];
    pieces = [];
    pendingBytes = 0;
    return { data, bytes };
  };

  const toWrite = async ({ data, bytes }: { data: ChunkData; bytes: Uint8Array }): Promise<Write> => {
    const key = keys.output(reference, attempt, data.stdoutOffset + data.stderrOffset);
    if (bytes.length <= inlineBytes) return { put: { ...key, version: 1, data, bytes }, ifVersion: 0 };
    const object = `${keys.objects(reference, 'output')}${key.sk.slice('output/'.length)}`;
    await objects.put(object, bytes);
    return { put: { ...key, version: 1, data: { ...data, object } }, ifVersion: 0 };
  };

  /** Until it is stored: a full disk holds the command back, it does not lose its output. */
  const storeChunk = async (chunk: { data: ChunkData; bytes: Uint8Array }): Promise<void> => {
    for (;;) {
      try {
        // A failed condition means that an earlier try was stored and its answer lost: this is the only writer.
        await store.write([await toWrite(chunk)]);
        return options.stored(reference);
      } catch (error) {
        if (closing.aborted) throw error;
        await clock.sleep(RETRY_MS, closing);
      }
    }
  };

  /** Stores what is pending, a chunk at a time; the last small one is left for the end's own transaction. */
  const drain = async (): Promise<void> => {
    while (pendingBytes > 0) {
      if (pendingBytes < chunkBytes && !finished) {
        coalescing = new AbortController();
        await clock.sleep(coalesceMs, coalescing.signal);
      }
      if (finished && pendingBytes <= inlineBytes) break;
      await storeChunk(take());
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
      if (pendingBytes < chunkBytes) return;
      coalescing?.abort();
      await draining;
    },

    async finish() {
      finished = true;
      coalescing?.abort();
      await draining;
      const totals = { stdoutBytes: written.stdout, stderrBytes: written.stderr, droppedBytes: dropped };
      return { totals, writes: pendingBytes === 0 ? [] : [await toWrite(take())] };
    },
  };
};
