import type * as z from 'zod';
import type {
  CreateTrigger,
  DeliveryView,
  PutTrigger,
  RotateTriggerSecret,
  TriggerTest as TestSchema,
  TestTrigger,
  TriggerView,
  TriggerWithSecret as WithSecretSchema,
} from '../../shared/contract/trigger-schemas.ts';
import { allItems, type Json, type Send } from './transport.ts';

export type NewTrigger = z.input<typeof CreateTrigger>;
export type Trigger = z.output<typeof TriggerView>;
export type TriggerWithSecret = z.output<typeof WithSecretSchema>;
export type TriggerTest = z.output<typeof TestSchema>;
export type Delivery = z.output<typeof DeliveryView>;

/** Webhooks in: addresses whose signed deliveries submit a command. */
export interface TriggerCalls {
  /** With its secret, if it was made there: it is shown only now. Not retried, since a repetition would make another. */
  createTrigger(trigger: NewTrigger): Promise<TriggerWithSecret>;
  /** All of them, page after page. */
  listTriggers(): AsyncGenerator<Trigger>;
  getTrigger(id: string): Promise<Trigger>;
  /** Another in its place, the caller's from now on, with the same address and secret. With `onVersion`, only if that is its version now. */
  putTrigger(id: string, trigger: z.input<typeof PutTrigger>): Promise<Trigger>;
  removeTrigger(id: string): Promise<void>;
  /** Twice is the same as once. */
  pauseTrigger(id: string): Promise<Trigger>;
  /** Deliveries that came meanwhile are not made up for. Twice is the same as once. */
  resumeTrigger(id: string): Promise<Trigger>;
  /** A new secret, shown only now; the one before is good for a day more, or as told. Not retried. */
  rotateTriggerSecret(id: string, options?: z.input<typeof RotateTriggerSecret>): Promise<TriggerWithSecret>;
  /** What it would make of a delivery. Nothing is submitted. */
  testTrigger(id: string, delivery: z.input<typeof TestTrigger>): Promise<TriggerTest>;
  /** What became of its deliveries in the last 30 days, the newest first, page after page. */
  listTriggerDeliveries(id: string): AsyncGenerator<Delivery>;
}

const pathOf = (id: string, more = ''): string => `/v1/triggers/${encodeURIComponent(id)}${more}`;

export const makeTriggerCalls = (json: Json, send: Send): TriggerCalls => ({
  createTrigger: (trigger) => json('POST', '/v1/triggers', { json: trigger, tries: 1 }),
  listTriggers: () => allItems(json, '/v1/triggers'),
  getTrigger: (id) => json('GET', pathOf(id)),
  putTrigger: (id, trigger) => json('PUT', pathOf(id), { json: trigger, tries: 1 }),
  removeTrigger: (id) => send('DELETE', pathOf(id)),
  pauseTrigger: (id) => json('POST', pathOf(id, '/pause')),
  resumeTrigger: (id) => json('POST', pathOf(id, '/resume')),
  rotateTriggerSecret: (id, options = {}) => json('POST', pathOf(id, '/rotate'), { json: options, tries: 1 }),
  testTrigger: (id, delivery) => json('POST', pathOf(id, '/test'), { json: delivery }),
  listTriggerDeliveries: (id) => allItems(json, pathOf(id, '/deliveries')),
});
