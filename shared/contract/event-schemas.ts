import * as z from 'zod';
import { EVENT_TYPES } from '../domain/events.ts';

export const EventView = z
  .object({
    specversion: z.literal('1.0'),
    id: z.string().describe('One that comes twice is the same one.'),
    source: z.literal('errand'),
    type: z.enum(EVENT_TYPES),
    time: z.iso.datetime().describe('When it happened.'),
    subject: z.string().describe('What it is about, by id or name.'),
    tenant: z.string(),
    sequence: z.int().min(1).describe('Its place in the order of the tenant’s events; `after` takes it.'),
    datacontenttype: z.literal('application/json'),
    data: z.record(z.string(), z.unknown()).describe('Facts by type: docs/events.md.'),
  })
  .meta({ id: 'Event', description: 'A CloudEvent (CloudEvents 1.0, JSON).' });
export type EventView = z.output<typeof EventView>;

export const EventPage = z
  .object({
    items: z.array(EventView).describe('The oldest first.'),
    after: z.int().min(0).describe('Where to go on.'),
    more: z.boolean().describe('Whether more are there already.'),
  })
  .meta({ id: 'EventPage' });
export type EventPage = z.output<typeof EventPage>;

const EventTypeText = z.enum(EVENT_TYPES);

/** Repeated, or with commas in between, which is how API Gateway hands over what is repeated. */
export const EventTypes = z
  .string()
  .transform((text) => text.split(','))
  .pipe(z.array(EventTypeText));
