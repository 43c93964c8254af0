import { type Command, currentAttempt, isFinal, routeOf } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import { expectedStartMs } from '../domain/health.ts';
import { step } from '../engine/step.ts';
import type { Effect, Observation, Outlook, TargetTraits } from '../engine/types.ts';
import type { Stored } from '../store/commands.ts';
import { type Reference, workflowReferenceOf } from '../store/schema.ts';
import type { Write } from '../store/store.ts';
import type { Deps, Target } from './deps.ts';
import { logOvertaken } from './log-overtaken.ts';
import { noteChange } from './note-change.ts';

/** What came of telling the engine about an observation. */
export interface Moved {
  /** Its version is the store's; of a claim that is stored with its start, the command is not there yet. */
  readonly stored: Stored;
  readonly effects: readonly Effect[];
  /** Whether this observation changed the command. */
  readonly changed: boolean;
}

/**
 * Tells the engine what was seen and stores what follows, again on top of whatever others stored meanwhile.
 * The caller then performs the effects. `from` saves a read when the caller knows the present version.
 * `alongside` is written in the same transaction. Undefined when there is no such command.
 * @throws AppError 'conflict' when what `alongside` would put is there already: someone else writes it
 */
export const observeCommand = async (
  deps: Deps,
  reference: Reference,
  seen: Observation,
  { from, alongside = [] }: { from?: Stored | undefined; alongside?: readonly Write[] } = {},
): Promise<Moved | undefined> => {
  let stored = from ?? (await deps.commands.find(reference));
  while (stored) {
    // Nobody else chooses a target, or leaves one.
    if (stored.command.status === 'queued' || seen.kind === 'unreachable') {
      await deps.fleet.refresh(targetsOf(stored.command));
    }
    const { next, effects } = step(stored.command, seen, {
      now: deps.clock.now(),
      fraction: deps.random.fraction(),
      rules: deps.rules,
      traitsOf: (name) => targetOf(deps, name)?.features ?? UNKNOWN_TARGET,
      outlook: outlookOf(deps),
    });
    if (next === stored.command) return { stored, effects, changed: false };
    if (stored.command.status === 'queued' && stored.command.attempts.length === 0) {
      const logged: Stored | undefined = await logOvertaken(deps, stored);
      if (logged !== stored) {
        stored = logged;
        continue;
      }
    }
    if (isStoredWithItsStart(deps, stored.command, next)) {
      return { stored: { ...stored, command: next }, effects, changed: true };
    }
    const saved = await deps.commands.save(stored, next, alongside, deps.meter.end(stored.command, next));
    if (saved.ok) {
      deps.changes.announce(reference, 'record', saved.stored);
      noteChange(deps, stored.command, next);
      if (seen.kind === 'redeemed') await noteStart(deps, next);
      if (isSlowStart(deps, stored.command, seen, next)) {
        await deps.fleet.saw(currentAttempt(next)?.target ?? '', {
          ok: false,
          why: 'What it accepted was not started in time.',
        });
      }
      if (isFinal(next.status)) {
        await cleanUp(deps, reference, next);
        await wakeWorkflow(deps, next);
      }
      return { stored: saved.stored, effects, changed: true };
    }
    // The record is as it was read, so it was not the record that refused: asked again it would for ever.
    if (saved.stored?.version === stored.version) throw new AppError('conflict', 'Output is in this place already.');
    stored = saved.stored;
  }
  return undefined;
};

/**
 * Whoever claims a command and executes it itself stores both in one write, when it redeems the ticket: nothing is executed before
 * that, and of two who claim it one finds the other's write in its way. A start that fails before is stored likewise.
 */
const isStoredWithItsStart = (deps: Deps, before: Command, next: Command): boolean => {
  if (before.status !== 'queued' || next.status !== 'starting') return false;
  const features = targetOf(deps, currentAttempt(next)?.target ?? '')?.features;
  return features?.mode === 'inline' && features.runner === 'in-process' && features.startTicket;
};

/** A target that is no longer configured: what it held is left alone until it is again. */
const UNKNOWN_TARGET: TargetTraits = {
  startTicket: true,
  mode: 'inline',
  runner: 'in-process',
  startSeconds: 60,
  leavesBehind: false,
};

export const targetOf = ({ targets }: Pick<Deps, 'targets'>, name: string): Target | undefined =>
  targets.find((target) => target.name === name);

const targetsOf = ({ spec }: Command): readonly string[] =>
  routeOf(spec).flatMap(({ places }) => places.map(({ target }) => target));

const outlookOf = ({ fleet, clock, targets, pools }: Deps): Outlook => ({
  of(name) {
    const { condition, start } = fleet.of(name);
    const target = targetOf({ targets }, name);
    // What is not configured any more cannot take anything.
    const state = target ? (condition?.state ?? 'healthy') : 'down';
    const why = target ? condition?.why : 'It is not configured here.';
    const startMs = expectedStartMs(start, clock.now());
    return { state, why, downUntil: condition?.downUntil, startMs, pricePerHour: target?.pricePerHour };
  },
  pool: (name) => pools.find((pool) => pool.name === name),
});

const noteStart = async ({ fleet }: Pick<Deps, 'fleet'>, command: Command): Promise<void> => {
  const attempt = currentAttempt(command);
  if (attempt?.startedAt !== undefined) await fleet.started(attempt.target, attempt.startedAt - attempt.requestedAt);
};

/** Accepted, and given up since nobody redeemed the ticket. */
const isSlowStart = (deps: Deps, before: Command, { kind }: Observation, next: Command): boolean =>
  before.status === 'starting' &&
  next.status === 'queued' &&
  (kind === 'alive' || kind === 'looked' || kind === 'swept') &&
  targetOf(deps, currentAttempt(next)?.target ?? '')?.features.mode === 'detached';

/** What comes after it need not wait for the sweeper. */
const wakeWorkflow = async (
  { queue, log }: Pick<Deps, 'queue' | 'log'>,
  { tenant, workflow }: Command,
): Promise<void> => {
  if (!workflow) return;
  const id = workflowReferenceOf(tenant, workflow.id);
  await queue
    .send({ v: 1, id }, { priority: 'high' })
    .catch((error: unknown) =>
      log.warn('A workflow was not woken; the sweeper will find it', { reference: id, error }),
    );
};

const cleanUp = async (deps: Deps, reference: Reference, { spec }: Command): Promise<void> => {
  if (spec.stdin.kind !== 'open') return;
  await deps.stdin
    .remove(reference)
    .catch((error: unknown) => deps.log.warn('Input was left behind', { reference, error }));
};
