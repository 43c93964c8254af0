import type { Log } from '../../telemetry/log.ts';
import type { LaunchSpec } from './frames.ts';
import { type Helper, startHelper } from './helper-process.ts';
import type { LaunchedRun, LaunchIo } from './launched-run.ts';

export type { Launched, LaunchedRun, LaunchIo } from './launched-run.ts';

/** Has commands executed by helper processes, so that the server itself never forks. */
export interface Launcher {
  launch(spec: LaunchSpec, io: LaunchIo): LaunchedRun;
  /** Whether the last helper that was started came up. */
  canStartHelpers(): boolean;
  /** Lets the helpers go; what still runs is killed. */
  close(): Promise<void>;
}

/**
 * Starts the first helper at once, so that it is ready when the first command comes, and others up to `most` when all
 * are busy. One that dies is replaced by the next launch.
 */
export const makeLauncher = ({ most, log }: { most: number; log: Log }): Launcher => {
  const helpers = new Set<Helper>();
  let canStart = true;
  const add = (): Helper => {
    const onGone = (wasReady: boolean) => {
      helpers.delete(helper);
      canStart = wasReady;
    };
    const helper = startHelper({ onGone, log });
    helpers.add(helper);
    return helper;
  };
  const leastBusy = (): Helper => {
    const [first, ...others] = helpers;
    if (!first) return add();
    const best = others.reduce((a, b) => (b.load() < a.load() ? b : a), first);
    return best.load() > 0 && helpers.size < most ? add() : best;
  };
  add();
  return {
    launch: (spec, io) => leastBusy().launch(spec, io),
    canStartHelpers: () => canStart,
    async close() {
      await Promise.all([...helpers].map((helper) => helper.close()));
    },
  };
};
