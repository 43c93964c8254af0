import type { Promises } from './history.ts';
import type { Place, PlaceParts } from './place.ts';
import { detachedPlace } from './providers/detached.ts';
import { inProcessPlace } from './providers/in-process.ts';
import { streamedPlace } from './providers/streamed.ts';

/** A shape of provider, as the features of the shipped ones have it. */
export interface Profile {
  /** Whether the store, the queue and the processes are those of a cloud. Otherwise all is on one machine. */
  readonly far: boolean;
  readonly promises: Promises;
  readonly place: (parts: PlaceParts) => Place;
}

const ALL: Promises = { startTicket: true, knowsGone: true, keepsOutput: true };

export const PROFILES = {
  /** Commands are children of the server. */
  local: { far: false, promises: ALL, place: (parts) => inProcessPlace(parts, { bare: true }) },
  /** In containers, which outlive it. */
  docker: { far: false, promises: ALL, place: (parts) => inProcessPlace(parts, { bare: false }) },
  lambda: { far: true, promises: { ...ALL, knowsGone: false }, place: streamedPlace },
  'cloud-run': {
    far: true,
    promises: ALL,
    place: (parts) => detachedPlace(parts, { leavesBehind: false, startSeconds: 300, startTicket: true }),
  },
  'container-instances': {
    far: true,
    promises: ALL,
    place: (parts) => detachedPlace(parts, { leavesBehind: true, startSeconds: 600, startTicket: true }),
  },
  /** An image without a runner of ours: nothing redeems a ticket, and nothing reads its output. */
  image: {
    far: true,
    promises: { startTicket: false, knowsGone: false, keepsOutput: false },
    place: (parts) => detachedPlace(parts, { leavesBehind: true, startSeconds: 600, startTicket: false }),
  },
} as const satisfies Record<string, Profile>;

export type ProfileName = keyof typeof PROFILES;
export const PROFILE_NAMES = Object.keys(PROFILES) as readonly ProfileName[];
