import type {
  Observed,
  Provider,
  ProviderFeatures,
  Run,
  RunName,
  StartOutcome,
} from '../../shared/providers/provider.ts';
import { spawnedRunnerFeatures } from './spawned-runner.ts';

export interface ScriptedProvider extends Provider {
  /** What was asked of it, in order. */
  readonly starts: Run[];
  readonly observed: RunName[];
  readonly canceled: RunName[];
  /** What it answers from now on. @default accepted, alive, canceled */
  script: {
    start?: (run: Run) => Promise<StartOutcome>;
    observe?: (run: RunName) => Promise<Observed>;
    cancel?: (run: RunName) => Promise<void>;
  };
}

/**
 * A detached provider that answers as a test tells it, for orders of events that no real one gives on demand. Nothing
 * runs at it: a test speaks for the runner.
 */
export const scriptedProvider = (features: Partial<ProviderFeatures> = {}): ScriptedProvider => {
  const provider: ScriptedProvider = {
    name: 'scripted',
    features: { ...spawnedRunnerFeatures, leavesBehind: true, startSeconds: 300, ...features },
    starts: [],
    observed: [],
    canceled: [],
    script: {},
    async start(run) {
      provider.starts.push(run);
      return (await provider.script.start?.(run)) ?? { kind: 'accepted', ref: `ref-of-${run.key}` };
    },
    async observe(run) {
      provider.observed.push(run);
      return (await provider.script.observe?.(run)) ?? { kind: 'alive' };
    },
    async cancel(run) {
      provider.canceled.push(run);
      await provider.script.cancel?.(run);
    },
    health: async () => ({ healthy: true }),
    close: async () => {},
  };
  return provider;
};
