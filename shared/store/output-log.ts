import { AppError } from '../domain/errors.ts';
import type { OutputChunk, OutputTotals, Segment, StreamName } from '../domain/output.ts';
import type { Objects } from '../objects/objects.ts';
import { type Chunk, type OutputWriter, type OutputWriterOptions, openOutputWriter } from './output-writer.ts';
import { keys, type Reference } from './schema.ts';
import type { Item, Store, Write } from './store.ts';

export interface OutputSize extends Pick<OutputTotals, 'stdoutBytes' | 'stderrBytes'> {}

/** The output of attempts, as ordered chunks of bytes: small ones in the store, large ones as objects. */
export interface OutputLog {
  /** A writer of an attempt's output. Of two, one loses a chunk to the other and is told so: it must write no more. */
  openWriter(reference: Reference, attempt: number, options?: Pick<OutputWriterOptions, 'promptly'>): OutputWriter;
  /**
   * Stores a chunk, once: a second time it is the same one.
   * @throws AppError 'conflict' when another chunk is in its place: someone else writes this output
   */
  append(reference: Reference, attempt: number, chunk: Chunk): Promise<void>;
  /** What stores a chunk, to be written in one transaction with something else. Its bytes are durable already when they are many. */
  toWrite(reference: Reference, attempt: number, chunk: Chunk): Promise<Write>;
  /** The chunks from the one that holds byte `offset` of both streams on, up to what is stored now. */
  read(reference: Reference, attempt: number, offset: number): AsyncGenerator<OutputChunk>;
  /** How much is stored now. */
  size(reference: Reference, attempt: number): Promise<OutputSize>;
  /** An offset of both streams at or before byte `streamOffset` of one stream, in the chunk that holds it. */
  seek(reference: Reference, attempt: number, stream: StreamName, streamOffset: number): Promise<number>;
}

/** What is stored of a chunk beside its bytes. */
interface ChunkData extends Omit<Chunk, 'bytes'> {
  /** Where the bytes are when they are too many for an item. */
  readonly object?: string;
}

export interface OutputLogOptions extends Omit<OutputWriterOptions, 'store' | 'restBytes' | 'promptly'> {
  /** Called when new output can be read. */
  readonly stored: (reference: Reference) => void;
  /** Chunks larger than this become objects. */
  readonly inlineBytes: number;
}

export const DEFAULT_OUTPUT = {
  coalesceMs: 20,
  // Half as much costs a third more CPU; twice as much gains little, and readers and writers hold it in memory.
  chunkBytes: 1024 * 1024,
  inlineBytes: 64 * 1024,
} as const;

const CHUNKS_PER_READ = 16;
/** Sorts after every chunk: the keys have 15 digits. */
const LAST_OFFSET = 1e15 - 1;

export const makeOutputLog = (store: Store, objects: Objects, options: OutputLogOptions): OutputLog => {
  /** The chunk that holds byte `offset` of both streams, or the last one before it. */
  const chunkAt = async (reference: Reference, attempt: number, offset: number): Promise<Item | undefined> => {
    const { pk, sk } = keys.output(reference, attempt, offset);
    const range = { from: keys.output(reference, attempt, 0).sk, to: sk, limit: 1, reverse: true };
    return (await store.query(pk, range))[0];
  };

  const toChunk = async (item: Item): Promise<OutputChunk> => {
    const { object, ...data } = item.data as ChunkData;
    const bytes = object === undefined ? (item.bytes ?? new Uint8Array()) : await objects.get(object);
    return { ...data, offset: data.stdoutOffset + data.stderrOffset, bytes };
  };

  const toWrite: OutputLog['toWrite'] = async (reference, attempt, { bytes, ...data }) => {
    const key = keys.output(reference, attempt, data.stdoutOffset + data.stderrOffset);
    if (bytes.length <= options.inlineBytes) return { put: { ...key, version: 1, data, bytes }, ifVersion: 0 };
    // With its length: another writer's chunk in the same place must not change what this one's item tells of it.
    const object = `${keys.objects(reference, 'output')}${key.sk.slice('output/'.length)}-${bytes.length}`;
    await objects.put(object, bytes);
    return { put: { ...key, version: 1, data: { ...data, object } satisfies ChunkData }, ifVersion: 0 };
  };

  const append: OutputLog['append'] = async (reference, attempt, chunk) => {
    const written = await store.write([await toWrite(reference, attempt, chunk)]);
    // The same chunk means that an earlier try was stored and its answer lost.
    if (!written.ok && !isSame(written.actual, chunk)) {
      throw new AppError('conflict', 'Another writer has stored output in this place.');
    }
    options.stored(reference);
  };

  return {
    openWriter: (reference, attempt, { promptly = false } = {}) =>
      openOutputWriter({
        ...options,
        promptly,
        restBytes: options.inlineBytes,
        store: (chunk) => append(reference, attempt, chunk),
      }),
    append,
    toWrite,

    async *read(reference, attempt, offset) {
      const { pk, sk: end } = keys.output(reference, attempt, LAST_OFFSET);
      const found = offset > 0 ? await chunkAt(reference, attempt, offset) : undefined;
      let from = found?.sk ?? keys.output(reference, attempt, offset).sk;
      for (let exclusive = false; ; exclusive = true) {
        const items = await store.query(pk, { from, to: end, limit: CHUNKS_PER_READ });
        for (const item of items) {
          if (exclusive && item.sk === from) continue;
          yield await toChunk(item);
        }
        const last = items.at(-1);
        if (items.length < CHUNKS_PER_READ || last === undefined) return;
        from = last.sk;
      }
    },

    async size(reference, attempt) {
      const last = await chunkAt(reference, attempt, LAST_OFFSET);
      if (!last) return { stdoutBytes: 0, stderrBytes: 0 };
      const { stdoutOffset, stderrOffset, segments } = last.data as ChunkData;
      return {
        stdoutBytes: stdoutOffset + lengthOf(segments, 'stdout'),
        stderrBytes: stderrOffset + lengthOf(segments, 'stderr'),
      };
    },

    async seek(reference, attempt, stream, streamOffset) {
      const last = await chunkAt(reference, attempt, LAST_OFFSET);
      if (!last) return 0;
      if (startOf(last, stream) <= streamOffset) return startOf(last);
      // A chunk's offset within a stream never exceeds its offset in both, and grows with it: so halve the range
      // between an offset whose chunk begins early enough and one whose chunk begins too late.
      let early = streamOffset;
      let late = startOf(last);
      while (late - early > 1) {
        const middle = Math.floor((early + late) / 2);
        const item = await chunkAt(reference, attempt, middle);
        if (!item) return 0;
        if (startOf(item, stream) <= streamOffset) early = Math.max(middle, endOf(item) - 1);
        else late = startOf(item);
      }
      const found = await chunkAt(reference, attempt, early);
      return found ? startOf(found) : 0;
    },
  };
};

/** Chunks follow each other without a gap, so that one that is as long as another in its place is followed by the same. */
const isSame = (item: Item | undefined, { segments }: Chunk): boolean => {
  const stored = (item?.data as ChunkData | undefined)?.segments ?? [];
  return (
    stored.length === segments.length &&
    stored.every(({ stream, length }, i) => stream === segments[i]?.stream && length === segments[i]?.length)
  );
};

const startOf = (item: Item, stream?: StreamName): number => {
  const { stdoutOffset, stderrOffset } = item.data as ChunkData;
  if (stream === undefined) return stdoutOffset + stderrOffset;
  return stream === 'stdout' ? stdoutOffset : stderrOffset;
};

const endOf = (item: Item): number =>
  (item.data as ChunkData).segments.reduce((offset, { length }) => offset + length, startOf(item));

const lengthOf = (segments: readonly Segment[], stream: StreamName): number =>
  segments.reduce((sum, segment) => (segment.stream === stream ? sum + segment.length : sum), 0);
