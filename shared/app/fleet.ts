import { DEFAULT_TENANT } from '../access/rights.ts';
import { type Clock, type Instant, toTimestamp } from '../domain/clock.ts';
import {
  type Condition,
  count,
  DEFAULT_HEALTH_RULES,
  isFailing,
  judge,
  newCondition,
  newTally,
  onTrial,
  type Sign,
  type Tally,
  withStart,
} from '../domain/health.ts';
import type { AuditLog } from '../store/audit-log.ts';
import type { Store } from '../store/store.ts';
import { type Check, makeTargetHealth, type TargetRecord } from '../store/target-health.ts';
import type { Log } from '../telemetry/log.ts';

/** How the targets are: what all workers know of them, and what this process saw. */
export interface Fleet {
  /** Reads what others stored of these targets, unless it was read some seconds ago. Does not throw. @default all */
  refresh(names?: readonly string[]): Promise<void>;
  /** As it was last read, or changed from here. */
  of(target: string): TargetRecord;
  isDown(target: string): boolean;
  /** Counts what was seen of a target. What follows from it is stored; most often that is nothing. Does not throw. */
  saw(target: string, sign: Sign): Promise<void>;
  /** What its provider said when it was asked how it is. */
  checked(target: string, check: Check): Promise<void>;
  /** To be told of what runs in this process, which has just begun: if it was down it is on trial now, as that was another process. Does not throw. */
  beganAnew(target: string): Promise<void>;
  /** How long a start took. Does not throw. */
  started(target: string, tookMs: number): Promise<void>;
}

interface Parts {
  readonly store: Store;
  readonly clock: Pick<Clock, 'now'>;
  readonly auditLog: Pick<AuditLog, 'eventWrite'>;
  readonly log: Log;
  readonly targets: readonly { readonly name: string; readonly provider: string }[];
  /** Whether anybody chooses by how long starts take at a target, so that it is worth a write. */
  readonly isTimed: (target: string) => boolean;
  /** Aborts when this process is about to end. From then on faults are its own, and say nothing of a target. */
  readonly closing: AbortSignal;
}

const GOOD_FOR_MS = 5_000;
const STARTS_EVERY_MS = 30_000;
const RULES = DEFAULT_HEALTH_RULES;

export const makeFleet = ({ store, clock, auditLog, log, targets, isTimed, closing }: Parts): Fleet => {
  const health = makeTargetHealth(store);
  const known = new Map<string, TargetRecord>();
  const tallies = new Map<string, Tally>();
  const startsToldAt = new Map<string, Instant>();
  const readAt = new Map<string, Instant>();
  const reading = new Map<string, Promise<void>>();

  const of = (target: string): TargetRecord => known.get(target) ?? NOTHING;
  const conditionOf = ({ condition }: TargetRecord): Condition => condition ?? newCondition(clock.now());

  const read = async (target: string): Promise<void> => {
    try {
      known.set(target, await health.find(target));
      readAt.set(target, clock.now());
    } catch (error) {
      log.warn('How a target is could not be read', { target, error });
    } finally {
      reading.delete(target);
    }
  };

  const change = async (target: string, next: (before: TargetRecord) => TargetRecord): Promise<void> => {
    const changed = await health.change(target, next, (before, after) => {
      const was = conditionOf(before).state;
      const now = conditionOf(after);
      return was === now.state ? [] : [auditLog.eventWrite(DEFAULT_TENANT, eventOf(target, was, now))];
    });
    known.set(target, changed);
  };

  const eventOf = (target: string, was: Condition['state'], { state, why, since }: Condition) => {
    const provider = targets.find(({ name }) => name === target)?.provider;
    log[state === 'healthy' ? 'info' : 'warn']('The health of a target has changed', { target, was, state, why });
    return {
      type: 'provider.health_changed',
      at: toTimestamp(since),
      actor: { id: 'errand' },
      subject: target,
      details: { provider, was, state, ...(why === undefined ? {} : { why }) },
    } as const;
  };

  /** What the sign makes of the condition, in the light of what this process saw before. */
  const withSign = (target: string, sign: Sign): ((before: TargetRecord) => TargetRecord) => {
    const now = clock.now();
    const tally = count(tallies.get(target) ?? newTally(now), sign, now, RULES);
    const failing = isFailing(tally, RULES);
    // Whatever follows from a full count, what comes next is counted from nothing.
    tallies.set(target, failing ? newTally(now) : tally);
    return (before) => {
      const was = conditionOf(before);
      const condition = judge(was, sign, { now, rules: RULES, failing });
      return condition === was ? before : { ...before, condition };
    };
  };

  return {
    async refresh(names = targets.map(({ name }) => name)) {
      const now = clock.now();
      const old = names.filter((name) => now - (readAt.get(name) ?? Number.NEGATIVE_INFINITY) >= GOOD_FOR_MS);
      for (const name of old) if (!reading.has(name)) reading.set(name, read(name));
      await Promise.all(old.map((name) => reading.get(name)));
    },

    of,
    isDown: (target) => of(target).condition?.state === 'down',

    async saw(target, sign) {
      if (!sign.ok && closing.aborted) return;
      const next = withSign(target, sign);
      // As far as it is known here nothing follows, and what others know they act upon.
      if (next(of(target)) === of(target)) return;
      await change(target, next).catch((error: unknown) => log.warn('How a target is could not be stored', { error }));
    },

    async checked(target, check) {
      const { healthy, detail } = check;
      if (!healthy && closing.aborted) return;
      const next = withSign(
        target,
        healthy ? { ok: true } : { ok: false, why: detail ?? 'It says that it is not well.' },
      );
      await change(target, (before) => ({ ...next(before), check: { ...check, at: clock.now() } }));
    },

    async beganAnew(target) {
      await change(target, (before) =>
        before.condition?.state === 'down' ? { ...before, condition: onTrial(before.condition, clock.now()) } : before,
      ).catch((error: unknown) => log.warn('How a target is could not be stored', { target, error }));
    },

    async started(target, tookMs) {
      const now = clock.now();
      if (!isTimed(target) || now - (startsToldAt.get(target) ?? 0) < STARTS_EVERY_MS) return;
      startsToldAt.set(target, now);
      await change(target, (before) => ({ ...before, start: withStart(before.start, tookMs, now) })).catch(
        (error: unknown) => log.warn('How long a start took could not be stored', { error }),
      );
    },
  };
};

const NOTHING: TargetRecord = {};
