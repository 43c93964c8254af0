import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Command, currentAttempt, isFinal, type Route } from '../../../shared/domain/command.ts';
import { step } from '../../../shared/engine/step.ts';
import type { Observation, StepContext, TargetOutlook } from '../../../shared/engine/types.ts';
import {
  aCommand,
  anAttempt,
  aRunning,
  aStarting,
  at as base,
  DETACHED,
  INLINE,
  SECOND,
  T0,
} from '../../support/commands.ts';

const ROUTE: Route = ['near', 'far'].map((name) => ({ name, places: [{ target: name, isolation: 'none' }] }));
const SPEC = { target: 'near', failover: ['far'], route: ROUTE };

/** `near` runs in this process, `far` is a detached one. */
const at = (seconds: number, outlooks: Readonly<Record<string, Partial<TargetOutlook>>> = {}): StepContext =>
  base(seconds, {
    traitsOf: (name) => (name === 'far' ? DETACHED : INLINE),
    outlook: { of: (name) => ({ state: 'healthy', startMs: 0, ...outlooks[name] }), pool: () => undefined },
  });
const DOWN = { state: 'down', why: 'It answers 503.', downUntil: T0 + 90 * SECOND } as const;

const looked = (ticket: string) => ({ kind: 'looked', worker: 'worker-2', ticket, holding: false }) as const;
const output = { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 };
const surelyGone: Observation = { kind: 'gone', attempt: 1, output, sure: true };
const rejected: Observation = { kind: 'rejected', attempt: 1, detail: 'It is full.', retryable: true };
const starting = (target: string, over: Partial<Command> = {}) =>
  aStarting({ attempts: [anAttempt({ target, ...(target === 'far' ? { held: true } : {}) })], ...over }, SPEC);
const running = (target: string, retry: Command['spec']['retry'] = { maxAttempts: 1, on: [] }) => {
  const [attempt] = aRunning().attempts;
  return aRunning({ attempts: [{ ...(attempt ?? anAttempt()), target }] }, { ...SPEC, retry });
};

describe('a start that is not taken', () => {
  test('goes to the next target at once, as a new attempt with a ticket of its own', () => {
    const { next, effects } = step(starting('near'), rejected, at(5));
    expect(next).toMatchObject({ status: 'queued', notBefore: T0 + 5 * SECOND });
    expect(effects).toEqual([{ kind: 'wake', at: T0 + 5 * SECOND }]);
    const again = step(next, looked('ticket-2'), at(5)).next;
    expect(again.attempts).toMatchObject([
      { number: 1, target: 'near', status: 'expired', detail: 'It is full.' },
      { number: 2, target: 'far', status: 'starting', ticket: 'ticket-2', held: true },
    ]);
  });

  test('waits with backoff when no target took it, and then goes round again', () => {
    const attempts = [
      anAttempt({ status: 'expired', endedAt: T0 }),
      anAttempt({ number: 2, target: 'far', ticket: 't' }),
    ].map((one, i) => (i === 0 ? { ...one, target: 'near' } : one));
    const { next } = step(aStarting({ attempts }, SPEC), { ...rejected, attempt: 2 } as Observation, at(5));
    expect(next.notBefore).toBe(T0 + 5_500);
    expect(currentAttempt(step(next, looked('x'), at(6)).next)).toMatchObject({ number: 3, target: 'near' });
  });

  test('waits as long as a target asked for only when that one is next', () => {
    const busy = { ...rejected, retryAfterSeconds: 120 } as Observation;
    expect(step(starting('near'), busy, at(5)).next.notBefore).toBe(T0 + 5 * SECOND);
    expect(step(starting('near'), busy, at(5, { far: DOWN })).next.notBefore).toBe(T0 + 125 * SECOND);
  });

  test('for good ends the command, unless its caller asked for a retry: then on the next target', () => {
    const refused = { ...rejected, retryable: false } as Observation;
    expect(step(starting('near'), refused, at(5)).next).toMatchObject({ status: 'failed' });
    const wanted = aStarting(
      { attempts: [anAttempt({ target: 'near' })] },
      { ...SPEC, retry: { maxAttempts: 2, on: ['provider-error'] } },
    );
    const { next } = step(wanted, refused, at(5));
    expect(currentAttempt(step(next, looked('x'), at(9)).next)?.target).toBe('far');
  });
});

describe('a target that is down', () => {
  test('is asked for nothing: the next one is', () => {
    const { next, effects } = step(aCommand({}, SPEC), looked('t'), at(1, { near: DOWN }));
    expect(currentAttempt(next)?.target).toBe('far');
    expect(effects).toMatchObject([{ kind: 'start', attempt: { target: 'far' } }]);
  });

  test('and the others too: the command waits, and is looked at again', () => {
    const { next, effects } = step(aCommand({}, SPEC), looked('t'), at(1, { near: DOWN, far: DOWN }));
    expect(next).toMatchObject({ status: 'queued', attempts: [], notBefore: T0 + 68_500 });
    expect(effects).toEqual([{ kind: 'wake', at: T0 + 68_500 }]);
    expect(next.dueAt).toBe(T0 + 98_500);
  });

  test('until the command expires, which says so', () => {
    const waiting = aCommand({}, { ...SPEC, queueTtlSeconds: 5 });
    expect(step(waiting, looked('t'), at(5, { near: DOWN, far: DOWN })).next.result?.detail).toBe(
      'Not started within 5 s of waiting in the queue. The target near is down: It answers 503.',
    );
  });

  test('loses what it accepted and did not start, whose ticket is void from then on', () => {
    const far = starting('far');
    const { next } = step(far, { kind: 'unreachable', attempt: 1 }, at(40, { far: DOWN }));
    expect(next).toMatchObject({
      status: 'queued',
      attempts: [{ status: 'expired', held: true, detail: 'The target far is down: It answers 503.' }],
    });
    const redeemed: Observation = { kind: 'redeemed', attempt: 1, ticket: 'ticket-1', runner: 'late' };
    expect(step(next, redeemed, at(41)).next).toBe(next);
    const moved = step(next, looked('ticket-2'), at(41, { far: DOWN })).next;
    expect(currentAttempt(moved)).toMatchObject({ number: 2, target: 'near' });
    expect(step(moved, redeemed, at(42)).next).toBe(moved);
  });

  test.for<[string, Command, Readonly<Record<string, Partial<TargetOutlook>>>]>([
    ['what runs there', running('far'), { far: DOWN }],
    ['what no other target can take', starting('far'), { far: DOWN, near: DOWN }],
    ['what waits at one that only did not answer once', starting('far'), {}],
  ])('keeps %s', ([, command, outlooks]) => {
    const { next } = step(command, { kind: 'unreachable', attempt: 1 }, at(40, outlooks));
    expect([next.status, next.attempts]).toEqual([command.status, command.attempts]);
  });
});

describe('a retry', () => {
  test.for<[string, Observation, string]>([
    ['of what was lost goes to the next target', surelyGone, 'far'],
    [
      'after an exit code stays where it was',
      { kind: 'ended', attempt: 1, exit: { exitCode: 1, signal: null }, output },
      'near',
    ],
  ])('%s', ([, seen, target]) => {
    const { next } = step(running('near', { maxAttempts: 2, on: ['lost', 'nonzero-exit'] }), seen, at(5));
    expect(currentAttempt(step(next, looked('x'), at(9)).next)?.target).toBe(target);
  });
});

describe('an attempt', () => {
  const route: Route = [
    { name: 'near', places: [{ target: 'near', isolation: 'process' }] },
    { name: 'far', places: [{ target: 'far', isolation: 'microvm' }] },
  ];
  test('has the isolation that was decided about for its target, and its result says so', () => {
    const command = aCommand({}, { ...SPEC, route, isolation: 'process' });
    const there = step(command, looked('t'), at(1, { near: DOWN })).next;
    expect(currentAttempt(there)).toMatchObject({ target: 'far', isolation: 'microvm' });
    const runs = step(there, { kind: 'redeemed', attempt: 1, ticket: 't', runner: 'r' }, at(2)).next;
    const ended: Observation = { kind: 'ended', attempt: 1, exit: { exitCode: 0, signal: null }, output };
    expect(step(runs, ended, at(3)).next.result?.isolation).toBe('microvm');
    const here = step(command, looked('t'), at(1)).next;
    expect(currentAttempt(here)).not.toHaveProperty('isolation');
  });
});

describe('a move', () => {
  const move: Observation = { kind: 'move-requested', target: 'far' };
  const rerun = { maxAttempts: 2, on: ['lost'] } as const;

  test('of what waits decides where it starts', () => {
    const { next, effects } = step(aCommand({ notBefore: T0 + 50 * SECOND }, SPEC), move, at(1));
    expect([next.notBefore, effects]).toEqual([T0 + SECOND, [{ kind: 'wake', at: T0 + SECOND }]]);
    const there = step(next, looked('t'), at(1)).next;
    expect(currentAttempt(there)?.target).toBe('far');
    expect(there).not.toHaveProperty('moveTo');
  });

  test('of what has not started voids its ticket', () => {
    const { next } = step(starting('near'), move, at(1));
    expect(next).toMatchObject({ status: 'queued', attempts: [{ status: 'expired', detail: 'It was moved to far.' }] });
    expect(step(next, { kind: 'redeemed', attempt: 1, ticket: 'ticket-1' }, at(2)).next).toBe(next);
    expect(currentAttempt(step(next, looked('t'), at(2)).next)).toMatchObject({ number: 2, target: 'far' });
  });

  test('of what runs stops it there, and runs it again once it was seen gone', () => {
    const asked = step(running('near', rerun), move, at(1)).next;
    expect(asked).toMatchObject({ status: 'running', moveTo: 'far', dueAt: T0 + SECOND });
    const stopping = step(asked, { ...looked(''), worker: 'worker-1', holding: true }, at(1));
    expect(stopping.effects).toMatchObject([{ kind: 'stop', attempt: { stop: { reason: 'moved' } } }]);
    // Not before it is gone.
    expect(step(stopping.next, looked('t'), at(2)).next.status).toBe('running');
    const exit = { exitCode: null, signal: 'SIGTERM' };
    const { next } = step(stopping.next, { kind: 'ended', attempt: 1, exit, output }, at(3));
    expect(next).toMatchObject({
      status: 'queued',
      notBefore: T0 + 3 * SECOND,
      attempts: [{ status: 'canceled', result: { reason: 'canceled', detail: expect.stringContaining('moved') } }],
    });
    expect(currentAttempt(step(next, looked('t'), at(3)).next)).toMatchObject({ number: 2, target: 'far' });
  });

  test.for<[string, Command]>([
    ['what must not run twice', running('near')],
    ['what has no attempt left', running('near', { maxAttempts: 1, on: ['lost'] })],
    ['what is there already', running('far', rerun)],
    ['what is canceled', { ...running('near', rerun), cancelRequestedAt: T0 }],
    ['what has ended', aCommand({ status: 'succeeded' }, SPEC)],
  ])('leaves alone %s', ([, command]) => {
    expect(step(command, move, at(1)).next).toBe(command);
  });

  test('gives way to a cancel', () => {
    const asked = step(running('near', rerun), move, at(1)).next;
    const stopping = step(asked, { ...looked(''), worker: 'worker-1', holding: true }, at(1)).next;
    const canceling = step(stopping, { kind: 'cancel-requested' }, at(2)).next;
    const { next } = step(canceling, surelyGone, at(3));
    expect(next).toMatchObject({ status: 'canceled' });
    expect(next).not.toHaveProperty('moveTo');
  });
});

describe('whatever is seen of several targets, in whatever order', () => {
  /** What may be said at any time, by workers, providers, runners that come late, and callers: of this attempt, or of one before. */
  type Say = (attempt: number, ticket: string, fresh: string) => Observation;
  const exit = (exitCode: number) => ({ exitCode, signal: null });
  const look: Say = (_, __, fresh) => looked(fresh);
  const redeem: Say = (attempt, ticket) => ({ kind: 'redeemed', attempt, ticket, runner: `runner-${ticket}` });
  const rest: readonly Say[] = [
    () => ({ kind: 'swept' }),
    (attempt) => ({ kind: 'accepted', attempt, ref: `ref-${attempt}` }),
    (attempt) => ({ kind: 'rejected', attempt, detail: 'no', retryable: true }),
    (attempt) => ({ kind: 'rejected', attempt, detail: 'never', retryable: false }),
    (attempt) => ({ kind: 'unreachable', attempt }),
    (attempt) => ({ kind: 'alive', attempt }),
    (attempt) => ({ kind: 'gone', attempt, output }),
    (attempt) => ({ ...surelyGone, attempt }),
    (attempt) => ({ kind: 'ended', attempt, exit: exit(0), output }),
    (attempt) => ({ kind: 'ended', attempt, exit: exit(1), output }),
    () => ({ kind: 'move-requested', target: 'near' }),
    () => ({ kind: 'move-requested', target: 'far' }),
  ];
  const say = fc.oneof(
    { weight: 20, arbitrary: fc.constant(look) },
    { weight: 15, arbitrary: fc.constant(redeem) },
    { weight: 25, arbitrary: fc.constantFrom(...rest) },
    { weight: 1, arbitrary: fc.constant<Say>(() => ({ kind: 'cancel-requested' })) },
  );
  const state = fc.constantFrom('healthy', 'healthy', 'degraded', 'down') as fc.Arbitrary<TargetOutlook['state']>;
  const back = fc.constantFrom(0, 0, 0, 1, 2);
  const moment = fc.record({
    wait: fc.integer({ min: 0, max: 30_000 }).map((ms) => ms / SECOND),
    near: state,
    far: state,
    back,
    say,
  });

  let runs = 0;
  test('no ticket is good but that of the present attempt, a caller that allows no rerun gets none, and it ends on a target of its route', () => {
    fc.assert(
      fc.property(fc.array(moment, { minLength: 20, maxLength: 60 }), fc.boolean(), (moments, mayRerun) => {
        const retry = mayRerun ? ({ maxAttempts: 3, on: ['lost'] } as const) : ({ maxAttempts: 1, on: [] } as const);
        let command = aCommand({}, { ...SPEC, retry, queueTtlSeconds: 100_000 });
        let seconds = 0;
        for (const [i, { wait, near, far, back: earlier, say: words }] of moments.entries()) {
          seconds += wait;
          const context = at(seconds, { near: { state: near }, far: { state: far } });
          const about = command.attempts.at(-1 - earlier);
          const before = command;
          command = step(command, words(about?.number ?? 1, about?.ticket ?? '', `ticket-${i}`), context).next;
          if (before.status !== 'running' && command.status === 'running') runs++;
          const open = command.attempts.filter(({ endedAt }) => endedAt === undefined);
          expect(open.length).toBeLessThanOrEqual(1);
          for (const old of command.attempts.filter(({ endedAt }) => endedAt !== undefined)) {
            const late: Observation = { kind: 'redeemed', attempt: old.number, ticket: old.ticket, runner: 'late' };
            expect(step(command, late, context).next).toBe(command);
          }
          const started = command.attempts.filter(({ startedAt }) => startedAt !== undefined);
          expect(started.length).toBeLessThanOrEqual(retry.maxAttempts);
          for (const { target } of command.attempts) expect(['near', 'far']).toContain(target);
          // In whole milliseconds: the index of what is due sorts no others.
          if (command.dueAt !== undefined) expect(command.dueAt % 1).toBe(0);
          if (!isFinal(command.status)) expect(command.dueAt).toBeDefined();
          else if (isFinal(before.status)) expect(command.status).toBe(before.status);
        }
      }),
      { numRuns: 300 },
    );
    // What is claimed was tried.
    expect(runs).toBeGreaterThan(150);
  });
});
