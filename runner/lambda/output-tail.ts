import { LIMITS } from '../../shared/domain/limits.ts';
import type { OutputTotals, Segment, StreamName } from '../../shared/domain/output.ts';
import type { Chunk } from '../../shared/store/output-writer.ts';

/** How much of an output is stored, or came before something. */
type OutputSize = Pick<OutputTotals, 'stdoutBytes' | 'stderrBytes'>;

/** The last of an output: what is not known to be stored, in the order in which it came. */
export interface OutputTail {
  /** Copies the bytes, so that they may be a view into something larger. */
  append(stream: StreamName, bytes: Uint8Array): void;
  /** Forgets what is stored. False, and nothing is forgotten, when that is not a part of this output. */
  forget(stored: OutputSize): boolean;
  /** The next to be stored, undefined when all is. */
  next(mostBytes: number): Chunk | undefined;
  /** All that ever came. */
  totals(): OutputSize;
  bytes(): number;
  /** From 0 to 1, and more when a last piece was larger than the room for it. */
  fullness(): number;
}

/** Each takes this much; a command that writes byte by byte fills the first again and again. */
const BLOCK_BYTES = 64 * 1024;
/** Changes between the streams take memory too. */
const MOST_SEGMENTS = 16 * LIMITS.outputSegments;

export const makeOutputTail = (mostBytes: number): OutputTail => {
  const before = { stdout: 0, stderr: 0 };
  const written = { stdout: 0, stderr: 0 };
  let segments: { stream: StreamName; length: number }[] = [];
  const blocks: Buffer[] = [];
  /** Bytes of the first block that are forgotten, and of the last one that are free. */
  let skipped = 0;
  let free = 0;

  const bytes = (): number => written.stdout + written.stderr - before.stdout - before.stderr;

  const keep = (piece: Uint8Array): void => {
    for (let at = 0; at < piece.length; ) {
      if (free === 0) {
        blocks.push(Buffer.allocUnsafeSlow(BLOCK_BYTES));
        free = BLOCK_BYTES;
      }
      const part = piece.subarray(at, at + free);
      blocks.at(-1)?.set(part, BLOCK_BYTES - free);
      free -= part.length;
      at += part.length;
    }
  };

  /** The segments of the first `count` bytes. */
  const first = (count: number, mostSegments = Number.POSITIVE_INFINITY): Segment[] => {
    const taken: Segment[] = [];
    for (let left = count; left > 0 && taken.length < mostSegments; ) {
      const segment = segments[taken.length];
      if (!segment) break;
      taken.push({ stream: segment.stream, length: Math.min(segment.length, left) });
      left -= segment.length;
    }
    return taken;
  };

  return {
    append(stream, piece) {
      if (piece.length === 0) return;
      keep(piece);
      written[stream] += piece.length;
      const last = segments.at(-1);
      if (last?.stream === stream) last.length += piece.length;
      else segments.push({ stream, length: piece.length });
    },

    forget({ stdoutBytes, stderrBytes }) {
      const count = stdoutBytes + stderrBytes - before.stdout - before.stderr;
      // An answer that was overtaken by a later one.
      if (count <= 0) return true;
      if (count > bytes()) return false;
      const taken = first(count);
      const after = sum(before, taken);
      if (after.stdout !== stdoutBytes || after.stderr !== stderrBytes) return false;
      Object.assign(before, after);
      const cut = taken.at(-1);
      const rest = (segments[taken.length - 1]?.length ?? 0) - (cut?.length ?? 0);
      segments = segments.slice(taken.length);
      if (cut && rest > 0) segments.unshift({ stream: cut.stream, length: rest });
      const gone = Math.floor((skipped + count) / BLOCK_BYTES);
      blocks.splice(0, gone);
      skipped += count - gone * BLOCK_BYTES;
      return true;
    },

    next(most) {
      const taken = first(Math.min(most, bytes()), LIMITS.outputSegments);
      if (taken.length === 0) return undefined;
      const length = taken.reduce((all, one) => all + one.length, 0);
      const end = skipped + length;
      const spanned = blocks.slice(0, Math.ceil(end / BLOCK_BYTES));
      const all = Buffer.concat(spanned).subarray(skipped, end);
      return { stdoutOffset: before.stdout, stderrOffset: before.stderr, segments: taken, bytes: all };
    },

    totals: () => ({ stdoutBytes: written.stdout, stderrBytes: written.stderr }),
    bytes,
    fullness: () => Math.max(bytes() / mostBytes, segments.length / MOST_SEGMENTS),
  };
};

const sum = (from: Readonly<Record<StreamName, number>>, segments: readonly Segment[]) => {
  const after = { ...from };
  for (const { stream, length } of segments) after[stream] += length;
  return after;
};
