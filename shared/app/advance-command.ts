import { type Attempt, type Command, currentAttempt, isFinal } from '../domain/command.ts';
import { attemptKeyOf } from '../domain/ids.ts';
import type { Observation } from '../engine/types.ts';
import type { Observed } from '../providers/provider.ts';
import type { Reference } from '../store/schema.ts';
import { withinTrace } from '../telemetry/trace-scope.ts';
import type { Deps } from './deps.ts';
import { type Moved, observeCommand, targetOf } from './observe-command.ts';
import { runAttempt, toRunName } from './run-attempt.ts';

/** Looks at a command and does what is to be done: the one way in for wake-ups. Safe to call at any time, any number of times. */
export const advanceCommand = (deps: Deps, reference: Reference): Promise<void> =>
  // Whoever's work led here, this is not part of it.
  withinTrace(undefined, async () => {
    const looked = { kind: 'looked', worker: deps.worker, ticket: deps.random.hex(16), holding: false } as const;
    await perform(deps, reference, await observeCommand(deps, reference, looked));
  });

export const perform = async (deps: Deps, reference: Reference, moved: Moved | undefined): Promise<void> => {
  if (!moved || moved.effects.length === 0) return;
  await withinTrace(moved.stored.command.trace, async () => {
    for (const effect of moved.effects) {
      if (effect.kind === 'wake') await wake(deps, reference, moved.stored.command, effect.at);
      else if (effect.kind === 'start') await perform(deps, reference, await runAttempt(deps, reference, moved.stored));
      else if (effect.kind === 'release') await tryToRelease(deps, reference, effect.attempt);
      else await lookAtRun(deps, reference, { stop: effect.kind === 'stop' });
    }
  });
};

/**
 * Asks the provider about an attempt that this process does not carry. With `stop`, ends it first.
 * Also the way in after a restart, when whoever carried it may be dead before its lease has run out.
 */
export const lookAtRun = async (deps: Deps, reference: Reference, { stop = false } = {}): Promise<void> => {
  const stored = await deps.commands.find(reference);
  const attempt = stored && currentAttempt(stored.command);
  if (!stored || !attempt || isFinal(stored.command.status) || stored.command.status === 'queued') return;
  const key = attemptKeyOf(stored.command.id, attempt.number);
  // Carried by this process, which looks after it.
  if (deps.runs.has(key)) return;
  const observed = await askProvider(deps, reference, attempt, stop);
  const sure = observed !== undefined && deps.goneRuns.saw(key, observed.kind === 'gone', deps.rules.goneSeconds);
  const seen = observed
    ? await toObservation(deps, reference, attempt.number, observed, sure)
    : ({ kind: 'unreachable', attempt: attempt.number } as const);
  await perform(deps, reference, await observeCommand(deps, reference, seen));
};

/** @returns undefined when it could not be asked */
const askProvider = async (
  deps: Deps,
  reference: Reference,
  attempt: Attempt,
  stop: boolean,
): Promise<Observed | undefined> => {
  const fields = { reference, attempt: attempt.number, target: attempt.target };
  const target = targetOf(deps, attempt.target);
  if (!target) {
    deps.log.warn('The target of a command is not configured here', fields);
    return undefined;
  }
  // The breaker: what is down is not called.
  await deps.fleet.refresh([target.name]);
  if (deps.fleet.isDown(target.name)) return undefined;
  try {
    const provider = await target.load();
    const run = toRunName(reference, attempt);
    if (stop) await provider.cancel(run);
    const observed = await provider.observe(run);
    await deps.fleet.saw(target.name, { ok: true });
    return observed;
  } catch (error) {
    deps.log.error('A provider could not be asked about a run', { ...fields, error });
    await deps.fleet.saw(target.name, { ok: false, why: 'It could not be asked about a run.' });
    return undefined;
  }
};

const toObservation = async (
  deps: Deps,
  reference: Reference,
  attempt: number,
  observed: Observed,
  sure: boolean,
): Promise<Observation> => {
  if (observed.kind === 'alive') return { kind: 'alive', attempt };
  if (observed.kind === 'failed') return { kind: 'rejected', attempt, detail: observed.detail, retryable: false };
  const output = { ...(await deps.output.size(reference, attempt)), droppedBytes: 0 };
  const detail = observed.detail ?? 'Whoever carried the command is gone; how it ended cannot be known.';
  const { exit, unheard } = observed;
  return {
    ...{ kind: 'gone', attempt, output, detail },
    ...(exit ? { exit } : {}),
    ...(unheard ? { unheard } : {}),
    ...(sure ? { sure } : {}),
  };
};

/** A provider that cannot remove what an earlier attempt left must not keep the next one from its start. */
const tryToRelease = (deps: Deps, reference: Reference, attempt: Attempt): Promise<void> =>
  release(deps, reference, attempt).catch((error: unknown) =>
    deps.log.warn('What an ended run left could not be removed yet', { reference, attempt: attempt.number, error }),
  );

/** Removes what an ended run left at its provider; what is still there is looked at again when the command is due. */
const release = async (deps: Deps, reference: Reference, attempt: Attempt): Promise<void> => {
  const target = targetOf(deps, attempt.target);
  if (!target) {
    deps.log.warn('The target of an ended run is not configured here', { reference, target: attempt.target });
    return;
  }
  // It stays in the line of those that are due.
  if (deps.fleet.isDown(target.name)) return;
  const provider = await target.load();
  const run = toRunName(reference, attempt);
  await provider.cancel(run);
  if ((await provider.observe(run)).kind === 'alive') return;
  await observeCommand(deps, reference, { kind: 'released', attempt: attempt.number });
};

const wake = async (deps: Deps, reference: Reference, command: Command, at: number): Promise<void> => {
  const delaySeconds = Math.max(0, (at - deps.clock.now()) / 1_000);
  await deps.queue.send({ v: 1, id: reference }, { priority: command.spec.priority, delaySeconds });
};
