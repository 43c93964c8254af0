import * as z from 'zod';
import { STATUSES } from '../domain/command.ts';
import { TerminalField } from './schemas.ts';

/**
 * What is said over the WebSocket of GET /v1/commands/{id}/terminal (RFC 6455). Binary messages are bytes: to the client what
 * the terminal shows, in order; from it what is typed. Text messages are JSON, as below.
 */
export const TERMINAL_PROTOCOL = 'errand.terminal.v1';

/** Before all else: bytes follow from this offset of the command's stdout on. */
export const TerminalAttached = z.object({
  type: z.literal('attached'),
  from: z.int().min(0),
  status: z.enum(STATUSES),
});

/** After all bytes: the command has ended. The connection is closed with 1000. */
export const TerminalEnded = z.object({
  type: z.literal('ended'),
  status: z.enum(STATUSES),
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
});

export type TerminalNews = z.output<typeof TerminalAttached> | z.output<typeof TerminalEnded>;

export const TerminalResize = TerminalField.extend({ type: z.literal('resize') });
export type TerminalResize = z.output<typeof TerminalResize>;

/** Why the server closes a connection, beside 1000. */
export const TERMINAL_CLOSES = {
  /** The server shuts down, or was too slow: attach again. */
  goingAway: 1001,
  /** A text message that is none of ours. */
  unsupported: 1003,
  /** Input that the command does not take. */
  refused: 1008,
  /** A fault of the server: attach again. */
  fault: 1011,
  /** The credential is over, or may no longer do this: attach with another. */
  unauthorized: 4401,
} as const;
