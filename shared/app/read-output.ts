import type { Command } from '../domain/command.ts';
import type { StreamName } from '../domain/output.ts';
import type { OutputSize } from '../store/output-log.ts';
import { referenceOf } from '../store/schema.ts';
import type { Deps } from './deps.ts';

/** Bytes of one stream, where they lie in it, and where the log of both streams goes on after them. */
export interface OutputPiece {
  readonly stream: StreamName;
  readonly bytes: Uint8Array;
  /** Offset within the stream. */
  readonly offset: number;
  /** Offset within both streams right after these bytes. */
  readonly end: number;
}

interface PieceRange {
  /** Only this stream's; otherwise both, in the order in which they came. */
  readonly stream?: StreamName | undefined;
  /** First byte: of the stream when one is named, else of both. @default 0 */
  readonly from?: number;
}

const UNKNOWN: OutputSize = { stdoutBytes: Number.POSITIVE_INFINITY, stderrBytes: 0 };

/** What is stored now of an attempt's output, from a byte on. */
export async function* piecesOf(
  deps: Pick<Deps, 'output'>,
  command: Command,
  attempt: number,
  { stream, from = 0 }: PieceRange,
): AsyncGenerator<OutputPiece> {
  const reference = referenceOf(command.tenant, command.id);
  const { stdoutBytes, stderrBytes } = countedOf(command, attempt) ?? UNKNOWN;
  const start = stream ? await deps.output.seek(reference, attempt, stream, from) : from;
  for await (const chunk of deps.output.read(reference, attempt, start)) {
    if (chunk.offset >= stdoutBytes + stderrBytes) return;
    const next = { stdout: chunk.stdoutOffset, stderr: chunk.stderrOffset };
    let position = 0;
    for (const segment of chunk.segments) {
      const bytes = chunk.bytes.subarray(position, position + segment.length);
      const offset = next[segment.stream];
      const before = stream ? offset : chunk.offset + position;
      next[segment.stream] += segment.length;
      position += segment.length;
      if (stream && segment.stream !== stream) continue;
      const skip = Math.max(0, from - before);
      if (skip >= bytes.length) continue;
      yield {
        stream: segment.stream,
        bytes: bytes.subarray(skip),
        offset: offset + skip,
        end: chunk.offset + position,
      };
    }
  }
}

/** How much there is of an attempt's output now. */
export const sizeOfOutput = async (
  { output }: Pick<Deps, 'output'>,
  command: Command,
  attempt: number,
): Promise<OutputSize> => countedOf(command, attempt) ?? output.size(referenceOf(command.tenant, command.id), attempt);

/**
 * Once an attempt has ended its output is what its result counts: what a process that was held up stores after that is none of it. Of one
 * that is lost there may be more.
 */
const countedOf = ({ attempts }: Command, number: number): OutputSize | undefined => {
  const { status, result } = attempts.find((attempt) => attempt.number === number) ?? {};
  return status === 'lost' ? undefined : result;
};
