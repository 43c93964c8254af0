import { describe, expect, test } from 'vitest';
import { type Command, currentAttempt, type Exit, type Status } from '../../../shared/domain/command.ts';
import { DEFAULT_RULES } from '../../../shared/engine/rules.ts';
import { step } from '../../../shared/engine/step.ts';
import type { Observation, StepContext } from '../../../shared/engine/types.ts';
import {
  aCommand,
  anAttempt,
  aRunning,
  aStarting,
  DETACHED,
  at as inlineAt,
  SECOND,
  T0,
} from '../../support/commands.ts';

const { leaseSeconds, pollSeconds, startSeconds, stopSeconds } = DEFAULT_RULES;
const at = (seconds: number, over: Parameters<typeof inlineAt>[1] = {}): StepContext =>
  inlineAt(seconds, { target: DETACHED, ...over });
const leavesNothing = { target: { ...DETACHED, leavesBehind: false } };

const looked = { kind: 'looked', worker: 'worker-2', ticket: 'ticket-2', holding: false } as const;
const runnerLooks = { ...looked, worker: 'worker-1', ticket: '', holding: true } as const;
const swept: Observation = { kind: 'swept' };
const cancel: Observation = { kind: 'cancel-requested' };
const alive: Observation = { kind: 'alive', attempt: 1 };
const released: Observation = { kind: 'released', attempt: 1 };
const output = { stdoutBytes: 3, stderrBytes: 0, droppedBytes: 0 };
const gone = { kind: 'gone', attempt: 1, output, detail: 'The provider has no such run.' } as const;
const surelyGone = { ...gone, sure: true } as const;
const ended = (exit: Partial<Exit> = {}): Observation => ({
  kind: 'ended',
  attempt: 1,
  exit: { exitCode: 0, signal: null, ...exit },
  output,
});
const redeemed = { kind: 'redeemed', attempt: 1, ticket: 'ticket-1', runner: 'runner-1' } as const;

/** A detached start at T0, which nobody has redeemed. */
const starting = (over: Partial<Command> = {}): Command =>
  aStarting({ attempts: [anAttempt({ held: true })], ...over });
/** Redeemed at T0 by runner-1. */
const running = (over: Partial<Command> = {}, spec: Parameters<typeof aRunning>[1] = {}): Command => {
  const [attempt = anAttempt()] = aRunning().attempts;
  return aRunning({ attempts: [{ ...attempt, held: true, runner: 'runner-1' }], ...over }, spec);
};
/** Through several observations, one second after another from `from` on. */
const after = (command: Command, from: number, ...seen: Observation[]): Command =>
  seen.reduce((now, one, i) => step(now, one, at(from + i)).next, command);
const effectsOf = (command: Command, seen: Observation, context: StepContext) =>
  step(command, seen, context).effects.map(({ kind }) => kind);

describe('a start elsewhere', () => {
  test('holds: from before the provider is asked on, something may be there', () => {
    const { next, effects } = step(aCommand(), looked, at(1));
    expect(next).toMatchObject({ status: 'starting', attempts: [{ held: true }] });
    expect(next.dueAt).toBe(T0 + (1 + startSeconds) * SECOND);
    expect(effects).toEqual([{ kind: 'start', attempt: currentAttempt(next) }]);
    expect(step(aCommand(), looked, inlineAt(1)).next.attempts[0]).not.toHaveProperty('held');
  });

  test('accepted is known by the name that the provider gave', () => {
    const { next, effects } = step(starting(), { kind: 'accepted', attempt: 1, ref: 'run-7' }, at(2));
    expect(next).toEqual(starting({ attempts: [anAttempt({ held: true, ref: 'run-7' })] }));
    expect(effects).toEqual([]);
    expect(step(next, { kind: 'accepted', attempt: 1, ref: 'run-7' }, at(3)).next).toBe(next);
  });

  test('accepted without a name changes nothing', () => {
    const command = starting();
    expect(step(command, { kind: 'accepted', attempt: 1 }, at(2))).toEqual({ next: command, effects: [] });
  });

  test('accepted after its runner redeemed still gets its name', () => {
    const { next } = step(running(), { kind: 'accepted', attempt: 1, ref: 'run-7' }, at(2));
    expect(next).toMatchObject({ status: 'running', attempts: [{ ref: 'run-7', startedAt: T0 }] });
  });

  const setAside = anAttempt({ status: 'expired', endedAt: T0 });
  const inItsPlace = anAttempt({ number: 2, held: true });

  test.for<[string, Command, number | undefined]>([
    ['was given up', aCommand({ attempts: [setAside], dueAt: T0 + 9 }), T0 + 9],
    ['another stands in for', starting({ attempts: [setAside, inItsPlace], dueAt: T0 + 9 }), T0 + 9],
    ['was canceled', aCommand({ status: 'canceled', attempts: [setAside] }), T0 + (2 + stopSeconds) * SECOND],
  ])('accepted after it %s is taken back, and again until it is gone', ([, command, dueAt]) => {
    const late: Observation = { kind: 'accepted', attempt: 1, ref: 'run-7' };
    const { next, effects } = step(command, late, at(2));
    const attempt = { ...setAside, held: true, ref: 'run-7' };
    expect(next).toEqual({ ...command, dueAt, attempts: [attempt, ...command.attempts.slice(1)] });
    expect(effects).toEqual([{ kind: 'release', attempt }]);
    expect(step(next, late, at(3))).toEqual({ next, effects: [] });
  });

  test.for<[string, Command]>([
    ['of which nothing is known', starting({ attempts: [anAttempt({ number: 2, held: true })] })],
    ['that its runner saw end', step(running(), ended(), at(1, leavesNothing)).next],
  ])('accepted late, one %s, changes nothing', ([, command]) => {
    const late: Observation = { kind: 'accepted', attempt: 1, ref: 'run-7' };
    expect(step(command, late, at(2, leavesNothing)).next).toBe(command);
  });

  test('is asked after when it says nothing, and then each time the poll is over', () => {
    expect(effectsOf(starting(), looked, at(startSeconds - 0.1))).toEqual([]);
    expect(effectsOf(starting(), looked, at(startSeconds))).toEqual(['observe']);
    expect(effectsOf(starting(), swept, at(startSeconds))).toEqual(['observe']);
    const polled = step(starting(), alive, at(60)).next;
    expect(polled).toMatchObject({ status: 'starting', dueAt: T0 + (60 + pollSeconds) * SECOND });
    expect(effectsOf(polled, looked, at(60 + pollSeconds - 0.1))).toEqual([]);
    expect(effectsOf(polled, looked, at(60 + pollSeconds))).toEqual(['observe']);
  });

  test('is not polled past its limit, and given up right then: its ticket is void and what is there is to be removed', () => {
    const late = step(starting(), alive, at(DETACHED.startSeconds - 3)).next;
    expect(late.dueAt).toBe(T0 + DETACHED.startSeconds * SECOND);
    for (const seen of [looked, swept, alive]) {
      const { next, effects } = step(late, seen, at(DETACHED.startSeconds));
      expect(next).toMatchObject({
        status: 'queued',
        expiresAt: late.expiresAt,
        attempts: [{ status: 'expired', held: true, detail: expect.stringContaining('not started within 300 s') }],
      });
      expect(effects).toEqual([{ kind: 'wake', at: next.notBefore }]);
      expect(step(next, redeemed, at(DETACHED.startSeconds + 1)).next).toBe(next);
      const again = step(next, looked, at(DETACHED.startSeconds + 1));
      expect(again.effects).toMatchObject([
        { kind: 'release', attempt: { number: 1 } },
        { kind: 'start', attempt: { number: 2 } },
      ]);
    }
  });

  test('whose image cannot be pulled ends the command with the words for it', () => {
    const seen: Observation = { kind: 'rejected', attempt: 1, detail: 'no such image', retryable: false };
    const { next, effects } = step(starting(), seen, at(9));
    expect(next).toMatchObject({
      status: 'failed',
      result: { reason: 'provider-error', detail: 'no such image', exitCode: null, durationMs: null },
      attempts: [{ held: true }],
      dueAt: T0 + 9 * SECOND,
    });
    expect(effects).toEqual([{ kind: 'wake', at: T0 + 9 * SECOND }]);
  });

  test.for<[number, number]>([
    [0, 0.5],
    [120, 120],
  ])('that the provider puts off by %i s waits for %d s', ([retryAfterSeconds, waited]) => {
    const seen: Observation = { kind: 'rejected', attempt: 1, detail: 'busy', retryable: true, retryAfterSeconds };
    expect(step(starting(), seen, at(9)).next).toMatchObject({
      status: 'queued',
      notBefore: T0 + (9 + waited) * SECOND,
      dueAt: T0 + (9 + waited) * SECOND,
    });
  });

  test('where no ticket is redeemed is never given up for a second one: it may be running', () => {
    const noTicket = { target: { ...DETACHED, startTicket: false } };
    expect(effectsOf(starting(), looked, at(1_000, noTicket))).toEqual(['observe']);
    expect(step(starting(), alive, at(1_000, noTicket)).next).toMatchObject({
      status: 'starting',
      dueAt: T0 + (1_000 + leaseSeconds) * SECOND,
    });
    const canceling = step(starting(), cancel, at(1, noTicket)).next;
    expect(effectsOf(canceling, looked, at(1, noTicket))).toEqual(['stop']);
  });
});

describe('the ticket, redeemed by a runner elsewhere', () => {
  test('is kept with the name of the runner, so that its repetition is told from another runner', () => {
    const { next } = step(starting(), redeemed, at(7));
    expect(next).toMatchObject({
      status: 'running',
      attempts: [{ runner: 'runner-1', startedAt: T0 + 7 * SECOND, deadlineAt: T0 + 67 * SECOND, held: true }],
    });
    expect(next.dueAt).toBe(T0 + (7 + leaseSeconds) * SECOND);
    for (const runner of ['runner-1', 'runner-2']) {
      expect(step(next, { ...redeemed, runner }, at(8)).next).toBe(next);
    }
    expect(currentAttempt(next)?.runner).toBe('runner-1');
  });
});

describe('a run elsewhere that is gone', () => {
  test('before its ticket was redeemed never ran, and starts again', () => {
    const { next } = step(starting(), gone, at(31));
    expect(next).toMatchObject({ status: 'queued', attempts: [{ status: 'expired', detail: gone.detail }] });
  });

  test('before its ticket was redeemed never ran, whatever the provider says of how its machine ended', () => {
    const { next } = step(starting(), { ...gone, exit: { exitCode: 137, signal: null, outOfMemory: true } }, at(31));
    expect(next).toMatchObject({ status: 'queued', attempts: [{ status: 'expired', detail: gone.detail }] });
  });

  test('afterwards is lost, with what the provider says of it', () => {
    expect(step(running(), surelyGone, at(31)).next).toMatchObject({
      status: 'lost',
      result: { reason: 'lost', detail: gone.detail, stdoutBytes: 3 },
      attempts: [{ held: true }],
      dueAt: T0 + 31 * SECOND,
    });
  });

  test.for<[string, Exit, Status, string]>([
    ['want of memory', { exitCode: null, signal: 'SIGKILL', outOfMemory: true }, 'failed', 'out-of-memory'],
    ['exit code 3', { exitCode: 3, signal: null }, 'failed', 'exit'],
  ])('afterwards, where the provider knows the end by %s, ended so', ([, exit, status, reason]) => {
    expect(step(running(), { ...gone, exit }, at(31)).next).toMatchObject({
      status,
      result: { reason, exitCode: exit.exitCode, stdoutBytes: 3 },
    });
  });
});

describe('a run elsewhere', () => {
  test('is trusted while its runner looks', () => {
    const renewed = step(running(), runnerLooks, at(20)).next;
    expect(currentAttempt(renewed)?.leaseUntil).toBe(T0 + (20 + leaseSeconds) * SECOND);
    expect(effectsOf(renewed, swept, at(49))).toEqual([]);
  });

  test('whose runner is not heard of is asked after, and trusted again when the provider knows it', () => {
    expect(effectsOf(running(), swept, at(leaseSeconds))).toEqual(['observe']);
    expect(step(running(), alive, at(31)).next).toMatchObject({ status: 'running', dueAt: T0 + 60 * SECOND });
  });

  test.for<[string, Command, number]>([
    ['a cancel', running({ cancelRequestedAt: T0 }), 1],
    ['its time-out', running(), 60],
  ])('is stopped after %s by whoever looks, though its lease is good', ([, command, seconds]) => {
    const trusted = {
      ...command,
      attempts: command.attempts.map((one) => ({ ...one, leaseUntil: T0 + 90 * SECOND })),
    };
    for (const seen of [looked, swept, runnerLooks]) {
      const { next, effects } = step(trusted, seen, at(seconds));
      expect(effects).toMatchObject([
        { kind: 'stop', attempt: { number: 1, held: true, stop: currentAttempt(next)?.stop } },
      ]);
      expect(next).toMatchObject({ status: 'running', dueAt: T0 + (seconds + stopSeconds) * SECOND });
      // Not by two that look at one time, and again when it was not seen to work.
      expect(effectsOf(next, looked, at(seconds + stopSeconds - 0.1))).toEqual([]);
      expect(effectsOf(next, looked, at(seconds + stopSeconds))).toEqual(['stop']);
    }
  });

  test.for<[string, Command, number, Status]>([
    ['a cancel', running({ cancelRequestedAt: T0 }), 1, 'canceled'],
    ['its time-out', running(), 60, 'timed_out'],
  ])('stopped after %s keeps its status until it is seen gone, or its runner tells', ([, command, seconds, status]) => {
    const stopping = step(command, looked, at(seconds)).next;
    const still = step(stopping, alive, at(seconds + 1)).next;
    expect(still).toMatchObject({ status: 'running', dueAt: T0 + (seconds + stopSeconds) * SECOND });
    expect(step(still, surelyGone, at(seconds + 2)).next.status).toBe(status);
    expect(step(still, ended({ exitCode: null, signal: 'SIGTERM' }), at(seconds + 2)).next.status).toBe(status);
  });

  test('seen alive right after a cancel is stopped by the one who saw it', () => {
    expect(effectsOf(running({ cancelRequestedAt: T0 }), alive, at(1))).toEqual(['stop']);
  });
});

describe('a cancel of a start elsewhere', () => {
  test('before the ticket was redeemed cancels at once; what is there is removed after it', () => {
    const { next, effects } = step(starting(), cancel, at(5));
    expect(next).toMatchObject({ status: 'canceled', dueAt: T0 + 5 * SECOND, attempts: [{ held: true }] });
    expect(effects).toEqual([{ kind: 'wake', at: T0 + 5 * SECOND }]);
    expect(step(next, redeemed, at(6)).next).toBe(next);
    expect(effectsOf(next, looked, at(6))).toEqual(['release']);
  });
});

describe('what an ended run left at its provider', () => {
  const over = step(running(), ended(), at(3)).next;

  test('is removed by the next look, and asked for again only when that was not seen to work', () => {
    expect(over).toMatchObject({ status: 'succeeded', dueAt: T0 + 3 * SECOND, attempts: [{ held: true }] });
    const { next, effects } = step(over, looked, at(3));
    expect(effects).toEqual([{ kind: 'release', attempt: currentAttempt(over) }]);
    expect(next.dueAt).toBe(T0 + (3 + stopSeconds) * SECOND);
    for (const seen of [looked, swept]) {
      expect(step(next, seen, at(3 + stopSeconds - 0.1))).toEqual({ next, effects: [] });
      expect(effectsOf(next, seen, at(3 + stopSeconds))).toEqual(['release']);
    }
  });

  test('once gone is looked at no more', () => {
    const { next, effects } = step(over, released, at(4));
    expect(effects).toEqual([]);
    expect(next.dueAt).toBeUndefined();
    expect(next.attempts[0]).not.toHaveProperty('held');
    expect(next).toMatchObject({ status: 'succeeded', result: { exitCode: 0 } });
    for (const seen of [looked, swept, released]) expect(step(next, seen, at(60))).toEqual({ next, effects: [] });
  });

  test('is nothing where the provider keeps nothing of a run that its runner saw end', () => {
    const { next, effects } = step(running(), ended(), at(3, leavesNothing));
    expect(effects).toEqual([]);
    expect(next.dueAt).toBeUndefined();
    expect(next.attempts[0]).not.toHaveProperty('held');
  });

  test('is to be removed even there when nobody saw it end', () => {
    expect(step(running(), surelyGone, at(31, leavesNothing)).next).toMatchObject({
      status: 'lost',
      attempts: [{ held: true }],
      dueAt: T0 + 31 * SECOND,
    });
  });

  test('of several attempts is looked at until the last of it is gone', () => {
    const attempts = [1, 2].map((number) => anAttempt({ number, status: 'lost', endedAt: T0, held: true }));
    const two = aCommand({ status: 'lost', endedAt: T0, dueAt: T0, attempts });
    expect(step(two, looked, at(1)).effects).toMatchObject([
      { kind: 'release', attempt: { number: 1 } },
      { kind: 'release', attempt: { number: 2 } },
    ]);
    const one = step(two, { kind: 'released', attempt: 2 }, at(2)).next;
    expect(one.dueAt).toBeDefined();
    expect(step(one, looked, at(3)).effects).toMatchObject([{ kind: 'release', attempt: { number: 1 } }]);
    expect(step(one, released, at(3)).next.dueAt).toBeUndefined();
  });

  test('is tried ever less often, and left to the search for orphans after a week', () => {
    let tries = 0;
    let command = over;
    const end = over.endedAt ?? T0;
    for (let seconds = 3; command.dueAt !== undefined && tries < 1_000; seconds += 5) {
      const { next, effects } = step(command, swept, at(seconds));
      tries += effects.length;
      if (next.dueAt !== undefined) expect(next.dueAt - T0 - seconds * SECOND).toBeLessThanOrEqual(3_600 * SECOND);
      else expect(T0 + seconds * SECOND - end).toBeGreaterThan(7 * 24 * 3_600 * SECOND);
      command = next;
    }
    expect(tries).toBeGreaterThan(7 * 24);
    expect(tries).toBeLessThan(7 * 24 + 20);
    expect(command).toMatchObject({ status: 'succeeded', attempts: [expect.not.objectContaining({ held: true })] });
  });

  test('does not hold back a retry: the earlier one is removed when the next starts', () => {
    const command = running({}, { retry: { maxAttempts: 2, on: ['lost'] } });
    const waiting = step(command, surelyGone, at(31)).next;
    expect(waiting).toMatchObject({ status: 'queued', attempts: [{ status: 'lost', held: true }] });
    const { next, effects } = step(waiting, looked, at(40));
    expect(effects).toMatchObject([
      { kind: 'release', attempt: { number: 1 } },
      { kind: 'start', attempt: { number: 2 } },
    ]);
    expect(step(next, released, at(41)).next).toMatchObject({
      status: 'starting',
      dueAt: next.dueAt,
      attempts: [expect.not.objectContaining({ held: true }), { held: true }],
    });
  });

  test('of an attempt that is not in the record is of no interest', () => {
    const command = running();
    expect(after(command, 1, { kind: 'released', attempt: 9 })).toBe(command);
  });
});

describe('a provider that does not answer', () => {
  const unreachable: Observation = { kind: 'unreachable', attempt: 1 };

  test.for([
    [startSeconds, pollSeconds],
    [startSeconds + 100, 50],
    [24 * 3_600, 300],
  ] as const)('since the start was overdue, %i s from it on, is asked again after %i s', ([now, again]) => {
    const { next, effects } = step(starting(), unreachable, at(now));
    expect(next).toEqual({ ...starting(), dueAt: T0 + (now + again) * SECOND });
    expect(effects).toEqual([]);
  });

  test('is asked again at a whole millisecond: a part of one would not sort among what is due', () => {
    const now = T0 + (startSeconds + 100) * SECOND + 1;
    const { next } = step(starting(), unreachable, { ...at(startSeconds + 100), now });
    expect(next.dueAt).toBe(now + 50 * SECOND + 1);
  });

  test('leaves a run with the lease and the time that it had', () => {
    const command = running();
    const { next } = step(command, unreachable, at(leaseSeconds));
    expect(next).toEqual({ ...command, dueAt: T0 + (leaseSeconds + pollSeconds) * SECOND });
    expect(effectsOf(next, looked, at(leaseSeconds + pollSeconds))).toEqual(['observe']);
  });

  test('about an earlier attempt says nothing of the present one', () => {
    const command = starting({ attempts: [anAttempt({ number: 2, held: true })] });
    expect(step(command, unreachable, at(100)).next).toBe(command);
  });
});

describe('a provider that refuses for long', () => {
  test('does not make an attempt that ran forgotten, and so one more run than was allowed', () => {
    const ran = anAttempt({ status: 'failed', startedAt: T0, endedAt: T0 });
    let command = aCommand({ attempts: [ran] }, { retry: { maxAttempts: 2, on: ['nonzero-exit'] } });
    for (let number = 2; number < 40; number++) {
      command = step(command, looked, at(number)).next;
      const busy: Observation = { kind: 'rejected', attempt: number, detail: 'busy', retryable: true };
      command = { ...step(command, busy, at(number)).next, notBefore: T0 };
    }
    expect(command.attempts.length).toBeLessThanOrEqual(21);
    const attempt = { number: 40, ticket: 'ticket-2', attempt: 40 };
    command = step(step(command, looked, at(50)).next, { ...redeemed, ...attempt }, at(50)).next;
    expect(
      step(command, { ...(ended({ exitCode: 1 }) as object), attempt: 40 } as Observation, at(51)).next,
    ).toMatchObject({
      status: 'failed',
      result: { exitCode: 1 },
    });
  });
});

test('a provider that shows nothing of a run is asked again, whatever the time; the word of its runner counts at once', () => {
  const canceling = running({ cancelRequestedAt: T0 });
  for (const seconds of [1, leaseSeconds, 100 * leaseSeconds]) {
    expect(step(canceling, gone, at(seconds)).next).toBe(canceling);
  }
  expect(step(canceling, surelyGone, at(1)).next.status).not.toBe('running');
  expect(step(canceling, { ...gone, ticket: 'ticket-1' }, at(1)).next.status).not.toBe('running');
});
