export type StreamName = 'stdout' | 'stderr';

/** A run of bytes of one stream within a chunk. */
export interface Segment {
  readonly stream: StreamName;
  readonly length: number;
}

/**
 * A piece of an attempt's output: the bytes of both streams in the order in which they came.
 * `offset` counts the bytes of both streams before it; `stdoutOffset` and `stderrOffset` those of each.
 */
export interface OutputChunk {
  readonly offset: number;
  readonly stdoutOffset: number;
  readonly stderrOffset: number;
  readonly segments: readonly Segment[];
  readonly bytes: Uint8Array;
}

/** How much an attempt wrote. */
export interface OutputTotals {
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** Bytes beyond the limit on output, counted and not kept. */
  readonly droppedBytes: number;
}
