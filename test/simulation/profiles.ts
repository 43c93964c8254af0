import type { Promises } from './history.ts';
import type { Place, PlaceParts } from './place.ts';
import { detachedPlace } from './providers/detached.ts';
import { inProcessPlace } from './providers/in-process.ts';
import { sometimesAway } from './providers/sometimes-away.ts';
import { streamedPlace } from './providers/streamed.ts';

/** A shape of provider, as the features of the shipped ones have it. */
export interface Profile {
  /** Whether the store, the queue and the processes are those of a cloud. Otherwise all is on one machine. */
  readonly far: boolean;
  readonly promises: Promises;
  readonly place: (parts: PlaceParts) => Place;
  /** A second target, to which most commands may go too. */
  readonly second?: (parts: PlaceParts) => Place;
  /** What submits commands too, beside callers. */
  readonly also?: 'schedules' | 'workflows';
}

const ALL: Promises = { startTicket: true, knowsGone: true, keepsOutput: true };

const cloudRun = (parts: PlaceParts): Place =>
  detachedPlace(parts, { leavesBehind: false, startSeconds: 300, startTicket: true });
const containerInstances = (parts: PlaceParts): Place =>
  detachedPlace(parts, { leavesBehind: true, startSeconds: 600, startTicket: true });

export const PROFILES = {
  /** Commands are children of the server. */
  local: { far: false, promises: ALL, place: (parts) => inProcessPlace(parts, { bare: true }) },
  /** In containers, which outlive it. */
  docker: { far: false, promises: ALL, place: (parts) => inProcessPlace(parts, { bare: false }) },
  lambda: { far: true, promises: { ...ALL, knowsGone: false }, place: streamedPlace },
  'cloud-run': { far: true, promises: ALL, place: cloudRun },
  'container-instances': { far: true, promises: ALL, place: containerInstances },
  /** An image without a runner of ours: nothing redeems a ticket, and nothing reads its output. */
  image: {
    far: true,
    promises: { startTicket: false, knowsGone: false, keepsOutput: false },
    place: (parts) => detachedPlace(parts, { leavesBehind: true, startSeconds: 600, startTicket: false }),
  },
  /** Two targets, each of which is away from time to time. */
  failover: {
    far: true,
    promises: ALL,
    place: (parts) => sometimesAway(parts, cloudRun(parts)),
    second: (parts) => sometimesAway(parts, containerInstances(parts)),
  },
  /** Schedules of a server. */
  schedules: { far: false, promises: ALL, place: (parts) => inProcessPlace(parts, { bare: true }), also: 'schedules' },
  /** Schedules that functions fire which are called each minute. */
  'schedules-far': { far: true, promises: ALL, place: cloudRun, also: 'schedules' },
  /** Workflows of a server. */
  workflows: { far: false, promises: ALL, place: (parts) => inProcessPlace(parts, { bare: true }), also: 'workflows' },
  /** Workflows that functions advance, on what their callers and ends of commands wake. */
  'workflows-far': { far: true, promises: ALL, place: cloudRun, also: 'workflows' },
} as const satisfies Record<string, Profile>;

export type ProfileName = keyof typeof PROFILES;
export const PROFILE_NAMES = Object.keys(PROFILES) as readonly ProfileName[];
/** Those of one provider, on which callers alone submit. */
export const PROVIDER_NAMES = PROFILE_NAMES.filter((name) => !('second' in PROFILES[name] || 'also' in PROFILES[name]));
