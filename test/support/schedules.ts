import type * as z from 'zod';
import { createSchedule, getSchedule } from '../../shared/app/schedules.ts';
import type { CreateSchedule, ScheduleView } from '../../shared/contract/schedule-schemas.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import type { Schedule, ScheduleId } from '../../shared/domain/schedules.ts';
import { T0 } from './commands.ts';
import type { TestWorker } from './deps.ts';
import { owner } from './deps.ts';

export const scheduleId = (n = 1): ScheduleId => `sch_${String(n).padStart(16, '0')}` as ScheduleId;

/** Each minute from T0 on, made then. */
export const aSchedule = (over: Partial<Schedule> = {}): Schedule => ({
  id: scheduleId(),
  tenant: toTenantId('default'),
  name: '',
  version: 1,
  timing: { kind: 'every', everySeconds: 60, anchor: T0 },
  jitterSeconds: 0,
  overlap: 'allow',
  catchUp: 'last',
  template: { argv: ['true'] },
  spec: { target: 'local', labels: {} },
  member: 'owner',
  scope: {},
  paused: false,
  createdAt: T0,
  createdBy: 'owner',
  updatedAt: T0,
  next: T0 + 60_000,
  waiting: [],
  open: [],
  history: [],
  ...over,
});

type Body = z.input<typeof CreateSchedule>;
export type View = z.output<typeof ScheduleView>;

/** Stores one of the owner's: `true`, each minute. */
export const schedule = (deps: TestWorker, over: Partial<Body> = {}): Promise<View> =>
  createSchedule(deps, owner, { everySeconds: 60, command: { argv: ['true'] }, ...over } as never);

export const read = (deps: TestWorker, { id }: Pick<View, 'id'>): Promise<View> => getSchedule(deps, owner, id);

/** What became of it, the oldest first: `00:01 submitted`. */
export const told = ({ history }: View): string[] =>
  history
    .toReversed()
    .map(({ at, outcome, reason, count }) =>
      [at.slice(11, 16), outcome, reason, count > 1 ? count : null].filter((one) => one !== null).join(' '),
    );
