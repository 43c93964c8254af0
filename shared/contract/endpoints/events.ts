import * as z from 'zod';
import { LIMITS } from '../../domain/limits.ts';
import type { Endpoint } from '../endpoint.ts';
import { EventPage, EventTypes } from '../event-schemas.ts';
import { CommandIdText, wholeNumber } from '../schemas.ts';

/** What happened, as it happens. */
export const eventEndpoints = {
  readEvents: {
    method: 'GET',
    path: '/v1/events',
    function: 'output',
    permission: 'events:read',
    summary: 'Read events, or follow them live',
    query: z.strictObject({
      after: wholeNumber
        .describe('Only those after this one. Default: from the first on; live: from now on.')
        .optional(),
      type: EventTypes.describe('Only of this type; repeated for more.').optional(),
      command: CommandIdText.optional(),
      limit: wholeNumber.pipe(z.int().min(1).max(LIMITS.listItems)).optional(),
    }),
    headers: {
      accept: '`text/event-stream` follows them live.',
      'last-event-id': 'Resumes the live events right after this one.',
      prefer: '`wait=N` makes the live events a long poll: they end once there were some, or after N seconds.',
    },
    answers: {
      200: {
        description:
          'A page, the oldest first. Live: an event each by its type, with its `sequence` as `id`, and `heartbeat` in between.',
        schema: EventPage,
        mediaTypes: ['text/event-stream'],
      },
    },
  },
} as const satisfies Record<string, Endpoint>;
