import type { Deps } from '../../shared/app/deps.ts';
import {
  createSchedule,
  getSchedule,
  listSchedules,
  pauseSchedule,
  putSchedule,
  removeSchedule,
  resumeSchedule,
} from '../../shared/app/schedules.ts';
import { triggerSchedule } from '../../shared/app/trigger-schedule.ts';
import { httpFunction } from '../../shared/http/http-function.ts';
import { json, noContent, parseIdempotencyKey } from '../../shared/http/replies.ts';

/** Commands on a clock. */
export const schedules = (deps: Deps) =>
  httpFunction(deps, {
    createSchedule: async (_, { actor, body }) => {
      const schedule = await createSchedule(deps, actor, body);
      return json(201, schedule, { location: `/v1/schedules/${schedule.id}` });
    },
    listSchedules: async (_, { actor, query }) => json(200, await listSchedules(deps, actor, query)),
    getSchedule: async (_, { actor, params }) => json(200, await getSchedule(deps, actor, params.id)),
    putSchedule: async (_, { actor, params, body }) => json(200, await putSchedule(deps, actor, params.id, body)),
    removeSchedule: async (_, { actor, params }) => {
      await removeSchedule(deps, actor, params.id);
      return noContent();
    },
    triggerSchedule: async (_, { actor, params, headers }) => {
      const key = parseIdempotencyKey(headers['idempotency-key']);
      const firing = await triggerSchedule(deps, actor, params.id, key);
      return json(202, firing, { location: `/v1/commands/${firing.command}` });
    },
    pauseSchedule: async (_, { actor, params }) => json(200, await pauseSchedule(deps, actor, params.id)),
    resumeSchedule: async (_, { actor, params }) => json(200, await resumeSchedule(deps, actor, params.id)),
  });
