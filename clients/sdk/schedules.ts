import type * as z from 'zod';
import type {
  CreateSchedule,
  FiringView,
  PutSchedule,
  ScheduleView,
  ScheduleSummary as SummarySchema,
} from '../../shared/contract/schedule-schemas.ts';
import { allItems, type Json, type Send } from './transport.ts';

export type NewSchedule = z.input<typeof CreateSchedule>;
export type Schedule = z.output<typeof ScheduleView>;
export type ScheduleSummary = z.output<typeof SummarySchema>;
export type Firing = z.output<typeof FiringView>;

/** Commands on a clock. */
export interface ScheduleCalls {
  /** Not retried, since a repetition would make another. */
  createSchedule(schedule: NewSchedule): Promise<Schedule>;
  /** All of them, page after page. */
  listSchedules(): AsyncGenerator<ScheduleSummary>;
  /** With its next firings and its last ones. */
  getSchedule(id: string): Promise<Schedule>;
  /** Another in its place, the caller's from now on. With `onVersion`, only if that is its version now. */
  putSchedule(id: string, schedule: z.input<typeof PutSchedule>): Promise<Schedule>;
  removeSchedule(id: string): Promise<void>;
  /** Submits its command now. @param idempotencyKey default: one made for this call, so that a repeated request fires once */
  triggerSchedule(id: string, idempotencyKey?: string): Promise<Firing>;
  /** Twice is the same as once. */
  pauseSchedule(id: string): Promise<Schedule>;
  /** From the next time on: what passed meanwhile is not made up for. Twice is the same as once. */
  resumeSchedule(id: string): Promise<Schedule>;
}

const pathOf = (id: string, more = ''): string => `/v1/schedules/${encodeURIComponent(id)}${more}`;

export const makeScheduleCalls = (json: Json, send: Send, makeKey: () => string): ScheduleCalls => ({
  createSchedule: (schedule) => json('POST', '/v1/schedules', { json: schedule, tries: 1 }),
  listSchedules: () => allItems(json, '/v1/schedules'),
  getSchedule: (id) => json('GET', pathOf(id)),
  putSchedule: (id, schedule) => json('PUT', pathOf(id), { json: schedule, tries: 1 }),
  removeSchedule: (id) => send('DELETE', pathOf(id)),
  triggerSchedule: (id, idempotencyKey = makeKey()) =>
    json('POST', pathOf(id, '/trigger'), { headers: { 'idempotency-key': idempotencyKey } }),
  pauseSchedule: (id) => json('POST', pathOf(id, '/pause')),
  resumeSchedule: (id) => json('POST', pathOf(id, '/resume')),
});
