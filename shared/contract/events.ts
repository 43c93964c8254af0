import * as z from 'zod';
import { CommandView } from './schemas.ts';
import { STATUSES } from '../domain/command.ts';

/**
 * The events of a live output stream (server-sent events). The `id` of each is a position to resume from:
 * `<attempt>:<bytes of both streams delivered of that attempt>`.
 */
export const outputEvents = {
  status: z.object({ status: z.enum(STATUSES), attempt: z.int().min(0) }),
  stdout: z.object({ attempt: z.int(), offset: z.int(), data: z.base64() }),
  stderr: z.object({ attempt: z.int(), offset: z.int(), data: z.base64() }),
  heartbeat: z.object({}),
  /** The last event: the finished command. */
  end: CommandView,
} as const;
export type OutputEventName = keyof typeof outputEvents;
export type OutputEventData<N extends OutputEventName> = z.infer<(typeof outputEvents)[N]>;
