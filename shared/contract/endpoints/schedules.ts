import * as z from 'zod';
import { LIMITS } from '../../domain/limits.ts';
import type { Endpoint } from '../endpoint.ts';
import {
  CreateSchedule,
  FiringView,
  PutSchedule,
  ScheduleIdText,
  ScheduleList,
  ScheduleView,
} from '../schedule-schemas.ts';
import { wholeNumber } from '../schemas.ts';

const schedule = z.strictObject({ id: ScheduleIdText });
const view = (description: string) => ({ description, schema: ScheduleView });

/** Commands on a clock. */
export const scheduleEndpoints = {
  createSchedule: {
    method: 'POST',
    path: '/v1/schedules',
    function: 'schedules',
    permission: 'schedules:manage',
    summary: 'Submit a command at times to come: by cron, at a rate, or once',
    body: CreateSchedule,
    answers: { 201: view('Stored durably, and checked as its command would be.') },
  },
  listSchedules: {
    method: 'GET',
    path: '/v1/schedules',
    function: 'schedules',
    permission: 'schedules:read',
    summary: 'List schedules',
    query: z.strictObject({
      limit: wholeNumber.pipe(z.int().min(1).max(LIMITS.listItems)).optional(),
      cursor: z.string().optional(),
    }),
    answers: { 200: { description: 'One page. `nextCursor` is there while more may follow.', schema: ScheduleList } },
  },
  getSchedule: {
    method: 'GET',
    path: '/v1/schedules/{id}',
    function: 'schedules',
    permission: 'schedules:read',
    summary: 'Read a schedule, its next firings and its last ones',
    params: schedule,
    answers: { 200: view('The schedule.') },
  },
  putSchedule: {
    method: 'PUT',
    path: '/v1/schedules/{id}',
    function: 'schedules',
    permission: 'schedules:manage',
    summary: 'Put another in place of a schedule: it is the caller’s from now on',
    params: schedule,
    body: PutSchedule,
    answers: { 200: view('The schedule. It goes on being paused if it was.') },
  },
  removeSchedule: {
    method: 'DELETE',
    path: '/v1/schedules/{id}',
    function: 'schedules',
    permission: 'schedules:manage',
    summary: 'Remove a schedule; the commands that it submitted go on',
    params: schedule,
    answers: { 204: { description: 'It fires no more.' } },
  },
  triggerSchedule: {
    method: 'POST',
    path: '/v1/schedules/{id}/trigger',
    function: 'schedules',
    permission: 'schedules:manage',
    summary: 'Submit the command of a schedule now, whatever its clock and its overlap say',
    params: schedule,
    headers: { 'idempotency-key': 'Makes a repeated request the same firing, for 24 hours.' },
    answers: { 202: { description: 'The firing. The command is stored durably.', schema: FiringView } },
  },
  pauseSchedule: {
    method: 'POST',
    path: '/v1/schedules/{id}/pause',
    function: 'schedules',
    permission: 'schedules:manage',
    summary: 'Fire no more until it is resumed',
    params: schedule,
    answers: { 200: view('The schedule. Twice is the same as once.') },
  },
  resumeSchedule: {
    method: 'POST',
    path: '/v1/schedules/{id}/resume',
    function: 'schedules',
    permission: 'schedules:manage',
    summary: 'Fire again, from the next time on: what passed meanwhile is not made up for',
    params: schedule,
    answers: { 200: view('The schedule. Twice is the same as once.') },
  },
} as const satisfies Record<string, Endpoint>;
