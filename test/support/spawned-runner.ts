import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { AttemptKey } from '../../shared/domain/ids.ts';
import { RUNNER_FEATURES } from '../../shared/providers/elsewhere.ts';
import type { Provider, ProviderFeatures } from '../../shared/providers/provider.ts';
import { runnerEnvironment } from '../../shared/runner/program.ts';

export const RUNNER_MAIN = fileURLToPath(new URL('../../runner/main.ts', import.meta.url));
export const KEEPER_MAIN = fileURLToPath(new URL('../../runner/microvm/main.ts', import.meta.url));

export const spawnedRunnerFeatures: ProviderFeatures = {
  ...RUNNER_FEATURES,
  mode: 'detached',
  startSeconds: 60,
  leavesBehind: false,
  customImage: false,
  resourceLimits: false,
  isolation: ['none'],
  longestTimeoutSeconds: 3_600,
};

/** The least that a detached provider can be: the runner as a process of this machine. */
export const spawnedRunner = ({ runnerUrl, tmp }: { runnerUrl: string; tmp: string }): Provider => {
  const runners = new Map<AttemptKey, ChildProcess>();
  let closed = false;
  return {
    name: 'spawned-runner',
    features: spawnedRunnerFeatures,
    async start({ key, token }) {
      if (closed) return { kind: 'rejected', fault: { detail: 'Closed.', retryable: true } };
      const child = spawn(process.execPath, [RUNNER_MAIN], {
        env: { ...runnerEnvironment({ url: runnerUrl, token }), TMPDIR: tmp },
        stdio: ['ignore', 'ignore', 'inherit'],
        detached: true,
      });
      runners.set(key, child);
      return { kind: 'accepted' };
    },
    async observe({ key }) {
      const child = runners.get(key);
      return child && child.exitCode === null && child.signalCode === null ? { kind: 'alive' } : { kind: 'gone' };
    },
    async cancel({ key }) {
      runners.get(key)?.kill('SIGTERM');
    },
    health: async () => ({ healthy: !closed }),
    async close() {
      closed = true;
      for (const child of runners.values()) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill('SIGKILL');
        await once(child, 'close');
      }
    },
  };
};
