import type { CommandView } from './schemas.ts';

/** Bytes of one stream, and where they lie in it. */
interface Piece {
  readonly attempt: number;
  readonly offset: number;
  /** Base64. */
  readonly data: string;
}

/**
 * The events of a live output stream (server-sent events), by name. The `id` of each is a position to resume from:
 * `<attempt>:<bytes of both streams delivered of that attempt>`.
 */
export interface OutputEvents {
  readonly status: { readonly status: CommandView['status']; readonly attempt: number };
  readonly stdout: Piece;
  readonly stderr: Piece;
  /** Nothing happened for a while; the stream is alive. */
  readonly heartbeat: Record<string, never>;
  /** The last event: the finished command. */
  readonly end: CommandView;
}
export type OutputEventName = keyof OutputEvents;
