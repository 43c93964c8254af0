import { describe, expect, test } from 'vitest';
import type { Target } from '../../../shared/app/deps.ts';
import { endOrphans } from '../../../shared/app/end-orphans.ts';
import type { Command } from '../../../shared/domain/command.ts';
import { attemptKeyOf } from '../../../shared/domain/ids.ts';
import type { HeldRun, Provider, ProviderFeatures } from '../../../shared/providers/provider.ts';
import { aCommand, anAttempt, T0 } from '../../support/commands.ts';
import { owner, testWorker } from '../../support/deps.ts';
import { spawnedRunnerFeatures } from '../../support/spawned-runner.ts';

const MINUTE = 60_000;

/** A provider that holds these runs, and what it was asked to end. */
const holding = (runs: readonly HeldRun[], cancel = async () => {}, features: Partial<ProviderFeatures> = {}) => {
  const canceled: string[] = [];
  const provider: Provider = {
    name: 'holding',
    features: { ...spawnedRunnerFeatures, ...features },
    start: async () => ({ kind: 'refused' }),
    observe: async () => ({ kind: 'gone' }),
    async cancel({ key }) {
      canceled.push(key);
      await cancel();
    },
    async *held() {
      yield* runs;
    },
    health: async () => ({ healthy: true }),
    close: async () => {},
  };
  const target: Target = {
    name: 'elsewhere',
    provider: 'holding',
    features: provider.features,
    load: async () => provider,
    health: () => provider.health(),
  };
  return { target, canceled };
};

const held = ({ id }: Command, over: Partial<HeldRun> = {}): HeldRun => ({
  key: attemptKeyOf(id, 1),
  tenant: owner.tenant,
  worker: 'w',
  createdAt: T0 - 60 * MINUTE,
  ...over,
});

const searchWith = async (command: Command | undefined, run: HeldRun): Promise<readonly string[]> => {
  const worker = await testWorker({ work: false });
  if (command) await worker.commands.add(command, undefined, T0);
  const { target, canceled } = holding([run]);
  await endOrphans({ ...worker, targets: [target] });
  return canceled;
};

describe('the search for runs that nobody waits for', () => {
  const running = aCommand({ status: 'running', attempts: [anAttempt({ startedAt: T0 })] });
  const { dueAt: _, ...rest } = aCommand({ status: 'succeeded', endedAt: T0, attempts: [anAttempt({ endedAt: T0 })] });
  const ended: Command = rest;
  const retried = aCommand({ status: 'starting', attempts: [anAttempt({ endedAt: T0 }), anAttempt({ number: 2 })] });

  test.for<[string, Command | undefined, Partial<HeldRun>, boolean]>([
    ['of a command that has ended', ended, {}, true],
    ['of a command that is not there', undefined, {}, true],
    ['of an attempt that was given up', retried, {}, true],
    ['of the attempt that is under way', running, {}, false],
    ['of the attempt that has just been made', retried, { key: attemptKeyOf(retried.id, 2) }, false],
    ['that is too young to be stored everywhere', ended, { createdAt: T0 - MINUTE }, false],
    ['of which nobody knows since when it is there', ended, { createdAt: undefined }, false],
  ])('a run %s', async ([, command, over, isEnded]) => {
    const run = held(command ?? aCommand(), over);
    expect(await searchWith(command, run)).toEqual(isEnded ? [run.key] : []);
  });

  test.for<[string, Partial<ProviderFeatures>, boolean]>([
    ['whose runs go on without this process', { mode: 'detached', leavesBehind: false }, true],
    ['that may be left with what has ended', { mode: 'inline', leavesBehind: true }, true],
    ['that holds nothing beyond this process', { mode: 'inline', leavesBehind: false }, false],
  ])('a provider %s is searched or not', async ([, features, isSearched]) => {
    const worker = await testWorker({ work: false });
    const { target, canceled } = holding([held(aCommand())], undefined, features);
    await endOrphans({ ...worker, targets: [target] });
    expect(canceled).toHaveLength(isSearched ? 1 : 0);
  });

  test('goes on when one of them cannot be ended, or a target cannot be asked', async () => {
    const worker = await testWorker({ work: false });
    const stuck = holding([held(aCommand()), held(aCommand(), { key: attemptKeyOf(aCommand().id, 2) })], async () => {
      throw new Error('throttled');
    });
    const away: Target = { ...stuck.target, load: () => Promise.reject(new Error('no credentials')) };
    await endOrphans({ ...worker, targets: [away, stuck.target] });
    expect(stuck.canceled).toHaveLength(2);
  });
});
