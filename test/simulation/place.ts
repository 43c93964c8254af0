import type { Deps } from '../../shared/app/deps.ts';
import type { Provider, ProviderFeatures } from '../../shared/providers/provider.ts';
import type { Executions } from './executions.ts';
import type { Faults } from './faults.ts';
import type { Life } from './life.ts';
import type { World } from './world.ts';

/** What a place of execution stands in. */
export interface PlaceParts {
  readonly world: World;
  readonly faults: Faults;
  readonly executions: Executions;
  /** The processes that runners can reach now. */
  readonly reachable: () => readonly Served[];
  /** Whether a worker, by the name in its attempts, is alive. */
  readonly isWorkerAlive: (worker: string) => boolean;
  /** Told of what can only be a mistake of ours. */
  readonly tellBug: (bug: string) => void;
}

/** A process of the control plane. */
export interface Served {
  readonly life: Life;
  readonly deps: Deps;
  /** Whether it is of the version after this one. */
  readonly isLater: boolean;
}

/** Where commands are executed: the truth of one provider, and the adapter by which a process of ours reaches it. */
export interface Place {
  readonly features: ProviderFeatures;
  adapter(life: Life): Provider;
  /** What it still executes, or holds of ended runs, for a person. */
  left(): readonly string[];
}

export const FEATURES: Omit<ProviderFeatures, 'mode' | 'runner' | 'leavesBehind' | 'startSeconds' | 'startTicket'> = {
  liveOutput: true,
  separateStreams: true,
  stdin: true,
  signals: true,
  cancel: 'tree',
  customImage: false,
  resourceLimits: false,
  isolation: ['none'],
  longestTimeoutSeconds: 3_600,
};

export const rejected = (detail: string, retryable = true, retryAfterSeconds?: number) =>
  ({
    kind: 'rejected',
    fault: { detail, retryable, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) },
  }) as const;
