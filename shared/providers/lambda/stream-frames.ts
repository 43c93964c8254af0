import * as z from 'zod';
import type { Exit } from '../../domain/command.ts';
import type { StreamName } from '../../domain/output.ts';

/**
 * What the executor says on its response stream, and the adapter reads.
 *
 *   record := length (u32, big-endian: of what follows) · type (u8) · payload
 *
 *   heartbeat  empty. The first thing said, and then every few seconds: the function lives, its stream is not cut
 *   started    empty. The start ticket was redeemed: the command may be executing from now on
 *   stdout     bytes
 *   stderr     bytes
 *   ended      JSON Exit                   \
 *   refused    empty                        | One of these is the last record. A stream that ends without one says
 *   rejected   JSON { detail, retryable }   | nothing of how the command ended.
 *   lost       JSON { detail }              |
 *   left       empty. The rest is told elsewhere  /
 *
 * Lambda cuts the stream into chunks as it likes, so that a record may begin and end anywhere in one. A command can reach
 * the runtime of its own function and write here what it likes; so nothing in it is trusted but as that command's own word.
 */
const TYPES = {
  heartbeat: 1,
  started: 2,
  stdout: 3,
  stderr: 4,
  ended: 5,
  refused: 6,
  rejected: 7,
  lost: 8,
  left: 9,
} as const;

export type StreamRecord =
  | { readonly kind: 'heartbeat' | 'started' }
  | { readonly kind: StreamName; readonly bytes: Uint8Array }
  | { readonly kind: 'ended'; readonly exit: Exit }
  | { readonly kind: 'refused' | 'left' }
  | { readonly kind: 'rejected'; readonly detail: string; readonly retryable: boolean }
  | { readonly kind: 'lost'; readonly detail: string };

export type LastRecord = Extract<StreamRecord, { kind: 'ended' | 'refused' | 'rejected' | 'lost' | 'left' }>;

/** What came is not a stream of records, or breaks their rules. */
export class StreamFault extends Error {
  override readonly name = 'StreamFault';
}

const HEADER_BYTES = 5;
/** Output is cut into records of at most so much. */
const MOST_OUTPUT_BYTES = 1024 * 1024;
const MOST_JSON_BYTES = 16 * 1024;
const MOST_DETAIL = 2_000;

const kindByType = new Map<number, StreamRecord['kind']>(
  Object.entries(TYPES).map(([kind, type]) => [type, kind as StreamRecord['kind']]),
);

const mostBytes = (kind: StreamRecord['kind']): number => {
  switch (kind) {
    case 'stdout':
    case 'stderr':
      return MOST_OUTPUT_BYTES;
    case 'ended':
    case 'rejected':
    case 'lost':
      return MOST_JSON_BYTES;
    default:
      return 0;
  }
};

const detail = z.string().max(MOST_DETAIL);
const ExitSchema = z.strictObject({
  exitCode: z.int().min(0).max(255).nullable(),
  signal: z
    .string()
    .regex(/^SIG[A-Z0-9+-]{1,12}$/)
    .nullable(),
  outOfMemory: z.boolean().exactOptional(),
  usage: z.strictObject({ cpuMs: z.number().min(0), peakMemoryMiB: z.number().min(0) }).exactOptional(),
  redactions: z.int().min(0).exactOptional(),
  detail: detail.exactOptional(),
});
const Rejected = z.strictObject({ detail, retryable: z.boolean() });
const Lost = z.strictObject({ detail });

/** A record as the pieces to write, so that output is not copied. Output longer than one record may be becomes several. */
export const encodeRecord = (record: StreamRecord): Uint8Array[] => {
  switch (record.kind) {
    case 'stdout':
    case 'stderr': {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < record.bytes.length; at += MOST_OUTPUT_BYTES) {
        pieces.push(...framed(record.kind, record.bytes.subarray(at, at + MOST_OUTPUT_BYTES)));
      }
      return pieces;
    }
    case 'ended':
      return framedJson('ended', shortened(record.exit));
    case 'rejected':
      return framedJson('rejected', shortened({ detail: record.detail, retryable: record.retryable }));
    case 'lost':
      return framedJson('lost', shortened({ detail: record.detail }));
    default:
      return framed(record.kind, new Uint8Array());
  }
};

const framedJson = (kind: StreamRecord['kind'], value: object): Uint8Array[] =>
  framed(kind, Buffer.from(JSON.stringify(value)));

const framed = (kind: StreamRecord['kind'], payload: Uint8Array): Uint8Array[] => {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(payload.length + 1, 0);
  header.writeUInt8(TYPES[kind], 4);
  return payload.length > 0 ? [header, payload] : [header];
};

const shortened = <T extends { readonly detail?: string }>(value: T): T =>
  value.detail !== undefined && value.detail.length > MOST_DETAIL
    ? { ...value, detail: `${value.detail.slice(0, MOST_DETAIL - 1)}…` }
    : value;

const FOLLOWED = 'Something follows the last record';

export interface RecordReader {
  /**
   * The records that are whole with this piece. Bytes of output are views into what was read.
   * @throws StreamFault
   */
  read(piece: Uint8Array): StreamRecord[];
  /** Whether the last record came, so that how the run ended is known. */
  isComplete(): boolean;
}

/** Cuts what comes, in whatever pieces, into records. */
export const makeRecordReader = (): RecordReader => {
  let rest: Uint8Array[] = [];
  let have = 0;
  let need = HEADER_BYTES;
  let complete = false;
  return {
    read(piece) {
      if (complete && piece.length > 0) throw new StreamFault(FOLLOWED);
      rest.push(piece);
      have += piece.length;
      const records: StreamRecord[] = [];
      // Pieces wait until what is needed is there, so that a large record in small pieces is not copied again and again.
      if (have < need) return records;
      let bytes = Buffer.concat(rest, have);
      for (;;) {
        need = bytes.length < HEADER_BYTES ? HEADER_BYTES : lengthOf(bytes);
        if (bytes.length < need) break;
        const record = decode(bytes.readUInt8(4), bytes.subarray(HEADER_BYTES, need));
        records.push(record);
        bytes = bytes.subarray(need);
        complete = isLast(record);
        if (complete && bytes.length > 0) throw new StreamFault(FOLLOWED);
      }
      rest = [bytes];
      have = bytes.length;
      return records;
    },
    isComplete: () => complete,
  };
};

const LAST: readonly StreamRecord['kind'][] = ['ended', 'refused', 'rejected', 'lost', 'left'];

export const isLast = (record: StreamRecord): record is LastRecord => LAST.includes(record.kind);

/** Of a whole record; told from its header alone, so that nobody waits for what would be refused. */
const lengthOf = (bytes: Buffer): number => {
  const kind = kindByType.get(bytes.readUInt8(4));
  if (kind === undefined) throw new StreamFault(`Unknown record type ${bytes.readUInt8(4)}`);
  const payloadBytes = bytes.readUInt32BE(0) - 1;
  if (payloadBytes < 0 || payloadBytes > mostBytes(kind)) {
    throw new StreamFault(`A record '${kind}' of ${payloadBytes} bytes`);
  }
  return HEADER_BYTES + payloadBytes;
};

const decode = (type: number, payload: Buffer): StreamRecord => {
  const kind = kindByType.get(type);
  switch (kind) {
    case undefined:
      throw new StreamFault(`Unknown record type ${type}`);
    case 'stdout':
    case 'stderr':
      return { kind, bytes: payload };
    case 'ended':
      return { kind, exit: parsed(kind, ExitSchema, payload) };
    case 'rejected':
      return { kind, ...parsed(kind, Rejected, payload) };
    case 'lost':
      return { kind, ...parsed(kind, Lost, payload) };
    default:
      return { kind };
  }
};

const parsed = <T>(kind: string, schema: z.ZodType<T>, payload: Buffer): T => {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch {
    throw new StreamFault(`A record '${kind}' that is not JSON`);
  }
  const result = schema.safeParse(value);
  if (!result.success) throw new StreamFault(`A record '${kind}' of another shape`);
  return result.data;
};
