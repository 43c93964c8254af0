import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Command,
  canMove,
  currentAttempt,
  type Exit,
  isFinal,
  type Status,
} from '../../../shared/domain/command.ts';
import { step } from '../../../shared/engine/step.ts';
import type { Observation, StepContext } from '../../../shared/engine/types.ts';
import { aCommand, anAttempt, aRunning, aStarting, at, DETACHED, INLINE, SECOND, T0 } from '../../support/commands.ts';

const looked = { kind: 'looked', worker: 'worker-2', ticket: 'ticket-2', holding: false } as const;
const holding = { ...looked, worker: 'worker-1', holding: true } as const;
const redeemed = { kind: 'redeemed', attempt: 1, ticket: 'ticket-1' } as const;
const output = { stdoutBytes: 3, stderrBytes: 0, droppedBytes: 0 };
const ended = (exit: Partial<Exit> = {}): Observation => ({
  kind: 'ended',
  attempt: 1,
  exit: { exitCode: 0, signal: null, ...exit },
  output,
});
const gone: Observation = { kind: 'gone', attempt: 1, output };
const cancel: Observation = { kind: 'cancel-requested' };
const effectsOf = (command: Command, seen: Observation, context: StepContext) =>
  step(command, seen, context).effects.map(({ kind }) => kind);

describe('a queued command', () => {
  test('is started by whoever looks first, with a ticket of its own', () => {
    const { next, effects } = step(aCommand(), looked, at(1));
    expect(next.status).toBe('starting');
    expect(currentAttempt(next)).toMatchObject({
      number: 1,
      ticket: 'ticket-2',
      worker: 'worker-2',
      status: 'starting',
    });
    expect(effects).toEqual([{ kind: 'start', attempt: currentAttempt(next) }]);
  });

  test('that waited longer than its queue TTL expires and never starts', () => {
    const { next, effects } = step(aCommand({}, { queueTtlSeconds: 5 }), looked, at(5));
    expect(next).toMatchObject({
      status: 'expired',
      endedAt: T0 + 5 * SECOND,
      result: { reason: 'timeout', exitCode: null },
    });
    expect(effects).toEqual([]);
  });

  test('that waits out a backoff is not started early, and is looked at right then', () => {
    const waiting = aCommand({ notBefore: T0 + 10 * SECOND });
    expect(step(waiting, looked, at(9))).toEqual({ next: waiting, effects: [{ kind: 'wake', at: T0 + 10 * SECOND }] });
    expect(step(waiting, looked, at(10)).next.status).toBe('starting');
  });

  test('that is canceled never runs', () => {
    expect(step(aCommand(), cancel, at(1)).next).toMatchObject({ status: 'canceled', result: { reason: 'canceled' } });
  });

  test('found by the sweeper is woken again and steps back in line', () => {
    const { next, effects } = step(aCommand(), { kind: 'swept' }, at(31));
    expect(next).toMatchObject({ status: 'queued', dueAt: T0 + 61 * SECOND });
    expect(effects).toEqual([{ kind: 'wake', at: T0 + 31 * SECOND }]);
  });

  test('found by the sweeper after its queue TTL expires', () => {
    expect(step(aCommand({}, { queueTtlSeconds: 5 }), { kind: 'swept' }, at(6)).next.status).toBe('expired');
  });
});

describe('the start ticket', () => {
  test('redeemed once makes the command run, with its run time-out counted from then', () => {
    const { next } = step(aStarting(), redeemed, at(7));
    expect(next).toMatchObject({ status: 'running', startedAt: T0 + 7 * SECOND });
    expect(currentAttempt(next)).toMatchObject({ startedAt: T0 + 7 * SECOND, deadlineAt: T0 + 67 * SECOND });
  });

  test.for<[string, Command, Observation]>([
    ['a second time', aRunning(), redeemed],
    ['with another ticket', aStarting(), { ...redeemed, ticket: 'ticket-9' }],
    ['of an earlier attempt', aStarting({ attempts: [anAttempt({ number: 2, ticket: 'ticket-2' })] }), redeemed],
    ['after a cancel', aStarting({ cancelRequestedAt: T0 }), redeemed],
    ['after the command ended', aCommand({ status: 'canceled', attempts: [anAttempt()] }), redeemed],
    ['after the start was given up', aCommand({ attempts: [anAttempt({ status: 'expired' })] }), redeemed],
  ])('is refused %s', ([, command, seen]) => {
    expect(step(command, seen, at(1)).next).toBe(command);
  });

  test('never redeemed is void after the start time-out: the command goes back to the queue at no cost', () => {
    const { next, effects } = step(aStarting({}, { retry: { maxAttempts: 1, on: [] } }), looked, at(60));
    expect(next).toMatchObject({ status: 'queued', attempts: [{ number: 1, status: 'expired' }] });
    expect(effects).toEqual([{ kind: 'wake', at: next.notBefore }]);
    expect(step(next, { ...redeemed }, at(61)).next).toBe(next);
    expect(step(next, looked, at(62)).next.attempts).toMatchObject([{ number: 1 }, { number: 2, status: 'starting' }]);
  });

  test('still good keeps others from starting a second attempt', () => {
    const starting = aStarting();
    expect(step(starting, looked, at(59))).toEqual({ next: starting, effects: [] });
  });

  test('given up keeps the time in the queue that the caller gave', () => {
    expect(step(aStarting(), looked, at(60)).next.expiresAt).toBe(aStarting().expiresAt);
  });
});

describe('a command that ended', () => {
  test.for<[string, Partial<Exit>, Status, string]>([
    ['exit code 0', { exitCode: 0 }, 'succeeded', 'exit'],
    ['exit code 7', { exitCode: 7 }, 'failed', 'exit'],
    ['a signal', { exitCode: null, signal: 'SIGSEGV' }, 'failed', 'signal'],
    ['too little memory', { exitCode: null, signal: 'SIGKILL', outOfMemory: true }, 'failed', 'out-of-memory'],
  ])('by %s', ([, exit, status, reason]) => {
    const { next, effects } = step(aRunning(), ended(exit), at(3));
    const expected = { exitCode: exit.exitCode, reason, durationMs: 3_000, ...output };
    expect(next).toMatchObject({
      status,
      endedAt: T0 + 3 * SECOND,
      result: expected,
      attempts: [{ status, result: expected }],
    });
    expect(next.dueAt).toBeUndefined();
    expect(effects).toEqual([]);
  });

  test.for<['canceled' | 'timeout', Status]>([
    ['canceled', 'canceled'],
    ['timeout', 'timed_out'],
  ])('after it was stopped (%s) is %s, whatever its exit code', ([reason, status]) => {
    const attempts = [{ ...anAttempt({ status: 'running', startedAt: T0 }), stop: { reason, requestedAt: T0 } }];
    expect(step(aRunning({ attempts }), ended(), at(3)).next).toMatchObject({
      status,
      result: { exitCode: 0, reason },
    });
  });

  test('by itself before the stop reached it keeps its own result', () => {
    expect(step(aRunning({ cancelRequestedAt: T0 }), ended(), at(3)).next.status).toBe('succeeded');
  });

  test('takes no further word: the first end stands', () => {
    const { next } = step(aRunning(), ended(), at(3));
    for (const seen of [ended({ exitCode: 1 }), gone, cancel, looked, redeemed])
      expect(step(next, seen, at(9)).next).toBe(next);
  });

  test('in an attempt that was given up changes nothing', () => {
    const second = aRunning({
      attempts: [anAttempt({ status: 'lost' }), anAttempt({ number: 2, ticket: 'ticket-2' })],
    });
    expect(step(second, ended(), at(3)).next).toBe(second);
  });
});

describe('a stop', () => {
  test('is asked of the holder at the run time-out, not before', () => {
    expect(effectsOf(aRunning(), holding, at(59.9))).toEqual([]);
    const { next, effects } = step(aRunning(), holding, at(60));
    expect(effects).toMatchObject([{ kind: 'stop', attempt: { stop: { reason: 'timeout' } } }]);
    expect(next.status).toBe('running');
  });

  test('is asked of the holder after a cancel; the status follows only when it was seen gone', () => {
    const canceling = step(aRunning(), cancel, at(1)).next;
    expect(canceling).toMatchObject({ status: 'running', cancelRequestedAt: T0 + SECOND, dueAt: T0 + SECOND });
    const stopping = step(canceling, holding, at(1));
    expect(stopping.effects).toMatchObject([{ kind: 'stop', attempt: { stop: { reason: 'canceled' } } }]);
    expect(stopping.next.status).toBe('running');
    expect(step(stopping.next, ended({ exitCode: null, signal: 'SIGTERM' }), at(2)).next.status).toBe('canceled');
  });

  test('that is not seen to work is repeated, with its first reason', () => {
    const stopping = step(aRunning({ cancelRequestedAt: T0 }), holding, at(1)).next;
    expect(effectsOf(stopping, holding, at(15))).toEqual([]);
    expect(step(stopping, holding, at(90)).effects).toMatchObject([
      { kind: 'stop', attempt: { stop: { reason: 'canceled' } } },
    ]);
  });

  test('asked for twice is the same as once', () => {
    const once = step(aRunning(), cancel, at(1)).next;
    expect(step(once, cancel, at(2)).next).toBe(once);
  });

  test('of a command whose ticket was not redeemed cancels it at once', () => {
    expect(step(aStarting(), cancel, at(1)).next).toMatchObject({
      status: 'canceled',
      attempts: [{ status: 'canceled' }],
    });
  });

  test('of one that may run without a ticket waits until it was seen gone', () => {
    const canceling = step(aStarting(), cancel, at(1, { target: { ...INLINE, startTicket: false } })).next;
    expect(canceling.status).toBe('starting');
    expect(effectsOf(canceling, holding, at(1, { target: { ...INLINE, startTicket: false } }))).toEqual(['stop']);
  });
});

describe('the lease', () => {
  test('is renewed by the holder in good time, without a write at each look', () => {
    expect(step(aRunning(), holding, at(10)).next).toEqual(aRunning());
    expect(currentAttempt(step(aRunning(), holding, at(15)).next)?.leaseUntil).toBe(T0 + 45 * SECOND);
  });

  test('keeps others away while it is good', () => {
    expect(effectsOf(aRunning(), looked, at(29))).toEqual([]);
    expect(effectsOf(aRunning({ cancelRequestedAt: T0 }), looked, at(29))).toEqual([]);
  });

  test('that ran out makes others ask the provider, never start again', () => {
    expect(effectsOf(aRunning(), looked, at(30))).toEqual(['observe']);
    expect(effectsOf(aRunning(), { kind: 'swept' }, at(30))).toEqual(['observe']);
  });

  test('is extended when the provider says that the run is alive', () => {
    expect(step(aRunning(), { kind: 'alive', attempt: 1 }, at(31)).next.dueAt).toBe(T0 + 60 * SECOND);
  });

  test('of a run that is alive past its time-out leads to a stop', () => {
    expect(effectsOf(aRunning(), { kind: 'alive', attempt: 1 }, at(61))).toEqual(['stop']);
  });
});

describe('a run that is gone', () => {
  test('with its ticket redeemed is lost: nobody can know, and nobody guesses', () => {
    expect(step(aRunning(), gone, at(31)).next).toMatchObject({
      status: 'lost',
      result: { reason: 'lost', exitCode: null, signal: null, stdoutBytes: 3 },
    });
  });

  test('with its ticket not redeemed never ran, and starts again', () => {
    expect(step(aStarting(), gone, at(31)).next.status).toBe('queued');
  });

  test('may have run where no ticket is redeemed, and is lost', () => {
    expect(step(aStarting(), gone, at(31, { target: { ...INLINE, startTicket: false } })).next.status).toBe('lost');
  });

  test('after it was asked to stop is canceled', () => {
    const stopping = step(aRunning({ cancelRequestedAt: T0 }), holding, at(1)).next;
    expect(step(stopping, gone, at(31)).next.status).toBe('canceled');
  });
});

describe('a retry', () => {
  const retry = { maxAttempts: 3, on: ['lost', 'provider-error', 'nonzero-exit'] } as const;
  const rejected: Observation = { kind: 'rejected', attempt: 1, detail: 'no such image', retryable: false };

  test.for<[string, Observation]>([
    ['nonzero-exit', ended({ exitCode: 1 })],
    ['lost', gone],
    ['provider-error', rejected],
  ])('follows %s when the caller asked for it', ([cause, seen]) => {
    const wanted = step(aRunning({}, { retry: { maxAttempts: 2, on: [cause as 'lost'] } }), seen, at(5)).next;
    expect(wanted.status).toBe('queued');
    expect(wanted.attempts).toMatchObject([{ number: 1, endedAt: T0 + 5 * SECOND }]);
    const others = retry.on.filter((other) => other !== cause);
    expect(isFinal(step(aRunning({}, { retry: { maxAttempts: 2, on: others } }), seen, at(5)).next.status)).toBe(true);
  });

  test('waits with full jitter: between nothing and 1, 2, 4 … 60 seconds', () => {
    const waits = [1, 2, 3, 9].map((tries) => {
      const earlier = Array.from({ length: tries - 1 }, (_, i) => anAttempt({ number: i + 1, status: 'failed' }));
      const running = anAttempt({ number: tries, status: 'running', startedAt: T0 });
      const command = aRunning(
        { attempts: [...earlier, running] },
        { retry: { maxAttempts: 10, on: ['nonzero-exit'] } },
      );
      const seen = { ...ended({ exitCode: 1 }), attempt: tries } as Observation;
      const waitOf = (fraction: number) => (step(command, seen, at(0, { fraction })).next.notBefore ?? 0) - T0;
      expect(waitOf(0)).toBe(0);
      return waitOf(0.5);
    });
    expect(waits).toEqual([500, 1_000, 2_000, 30_000]);
  });

  test('ends with the last attempt that was allowed', () => {
    const attempts = [1, 2, 3].map((number) =>
      anAttempt({ number, status: number < 3 ? 'failed' : 'running', startedAt: T0 }),
    );
    const seen = { ...ended({ exitCode: 9 }), attempt: 3 } as Observation;
    expect(step(aRunning({ attempts }, { retry }), seen, at(5)).next).toMatchObject({
      status: 'failed',
      result: { exitCode: 9 },
    });
  });

  test('never follows a cancel, and a time-out is no cause for one', () => {
    expect(step(aRunning({ cancelRequestedAt: T0 }, { retry }), gone, at(31)).next.status).toBe('lost');
    const timedOut = [anAttempt({ status: 'running', startedAt: T0, stop: { reason: 'timeout', requestedAt: T0 } })];
    expect(step(aRunning({ attempts: timedOut }, { retry }), ended({ exitCode: 1 }), at(61)).next.status).toBe(
      'timed_out',
    );
  });

  test('of a start that the provider could not take yet costs no try, and ends with the queue TTL', () => {
    const busy: Observation = { ...rejected, retryable: true };
    const waiting = step(aStarting(), busy, at(5)).next;
    expect(waiting).toMatchObject({ status: 'queued', expiresAt: T0 + 600 * SECOND });
    expect(step(waiting, looked, at(600)).next.status).toBe('expired');
  });

  test('a provider that refuses for ever does not grow the record without end', () => {
    let command = aCommand({}, { queueTtlSeconds: 1_000_000 });
    for (let i = 0; i < 100; i++) {
      command = step(command, looked, at(i * 100)).next;
      const attempt = currentAttempt(command)?.number ?? 0;
      command = step(command, { kind: 'rejected', attempt, detail: 'busy', retryable: true }, at(i * 100)).next;
    }
    expect(command.attempts.length).toBeLessThanOrEqual(20);
    expect(currentAttempt(command)?.number).toBe(100);
  });
});

describe('a signal', () => {
  test('is kept in order for the running attempt, and for nothing else', () => {
    const once = step(aRunning(), { kind: 'signal-requested', signal: 'SIGHUP' }, at(1)).next;
    const twice = step(once, { kind: 'signal-requested', signal: 'SIGUSR1' }, at(2)).next;
    expect(twice.signals).toEqual([
      { attempt: 1, number: 1, signal: 'SIGHUP' },
      { attempt: 1, number: 2, signal: 'SIGUSR1' },
    ]);
    const queued = aCommand();
    expect(step(queued, { kind: 'signal-requested', signal: 'SIGHUP' }, at(1)).next).toBe(queued);
  });
});

describe('whatever is seen in whatever order', () => {
  const observations = fc.oneof(
    fc.constant<Observation>(looked),
    fc.constant<Observation>(holding),
    fc.constant<Observation>({ kind: 'swept' }),
    fc.constant<Observation>(cancel),
    fc.record({
      kind: fc.constant('restored' as const),
      backedUpAt: fc.constant(T0),
      output: fc.constant(output),
      waitsOn: fc.boolean(),
      takesOver: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant('redeemed' as const),
      attempt: fc.integer({ min: 1, max: 4 }),
      ticket: fc.constantFrom('ticket-1', 'ticket-2'),
      runner: fc.constantFrom('runner-1', 'runner-2'),
    }),
    fc.record({
      kind: fc.constant('ended' as const),
      attempt: fc.integer({ min: 1, max: 4 }),
      exit: fc.record({ exitCode: fc.constantFrom(0, 1), signal: fc.constant(null) }),
      output: fc.constant(output),
    }),
    fc.record({
      kind: fc.constantFrom('gone' as const),
      attempt: fc.integer({ min: 1, max: 4 }),
      output: fc.constant(output),
    }),
    fc.record({
      kind: fc.constant('gone' as const),
      attempt: fc.integer({ min: 1, max: 4 }),
      output: fc.constant(output),
      sure: fc.constant(true as const),
    }),
    fc.record({
      kind: fc.constant('gone' as const),
      attempt: fc.integer({ min: 1, max: 4 }),
      output: fc.constant(output),
      exit: fc.constant({ exitCode: 137, signal: null, outOfMemory: true }),
    }),
    fc.record({
      kind: fc.constantFrom('alive' as const, 'unreachable' as const),
      attempt: fc.integer({ min: 1, max: 4 }),
    }),
    fc.record({ kind: fc.constantFrom('accepted' as const), attempt: fc.integer({ min: 1, max: 4 }) }),
    fc.record({
      kind: fc.constant('accepted' as const),
      attempt: fc.integer({ min: 1, max: 4 }),
      ref: fc.constantFrom('run-1', 'run-2'),
    }),
    fc.record({ kind: fc.constantFrom('released' as const), attempt: fc.integer({ min: 1, max: 4 }) }),
    fc.record({
      kind: fc.constant('rejected' as const),
      attempt: fc.integer({ min: 1, max: 4 }),
      detail: fc.constant(''),
      retryable: fc.boolean(),
      retryAfterSeconds: fc.integer({ min: 0, max: 50 }),
    }),
  );
  const targets = fc.record({
    startTicket: fc.boolean(),
    runner: fc.constantFrom('in-process' as const, 'remote' as const),
    mode: fc.constantFrom('inline' as const, 'detached' as const),
    startSeconds: fc.constantFrom(INLINE.startSeconds, DETACHED.startSeconds),
    leavesBehind: fc.boolean(),
  });

  test('the status moves only as the table allows, what is unfinished or left behind has a time to be looked at, and one run at most has a good ticket', () => {
    const history = fc.array(
      fc.tuple(observations, fc.integer({ min: 0, max: 100 }), fc.double({ min: 0, max: 0.99, noNaN: true })),
      {
        maxLength: 40,
      },
    );
    const retry = fc.constantFrom([], ['lost'], ['nonzero-exit', 'provider-error', 'lost']) as fc.Arbitrary<
      ['lost'] | []
    >;
    fc.assert(
      fc.property(history, retry, targets, (seen, on, target) => {
        let command = aCommand({}, { retry: { maxAttempts: 3, on } });
        let seconds = 0;
        for (const [observation, later, fraction] of seen) {
          seconds += later;
          const before = command;
          command = step(command, observation, at(seconds, { fraction, target })).next;
          expect(command.status === before.status || canMove(before.status, command.status)).toBe(true);
          const held = command.attempts.filter((attempt) => attempt.held);
          expect(command.dueAt === undefined).toBe(isFinal(command.status) && held.length === 0);
          if (target.mode === 'inline') expect(held).toEqual([]);
          // A detached start may be there from before it was asked for, until it was seen gone.
          if (target.mode === 'detached' && command.attempts.length > before.attempts.length)
            expect(currentAttempt(command)?.held).toBe(true);
          for (const { number } of before.attempts.filter((attempt) => attempt.held)) {
            if (command.attempts.find((attempt) => attempt.number === number)?.held) continue;
            if (observation.kind === 'restored' && !observation.takesOver) continue;
            expect(observation).toMatchObject({ attempt: number });
            expect(target.leavesBehind ? ['released'] : ['released', 'ended', 'gone']).toContain(observation.kind);
          }
          const open = command.attempts.filter(({ endedAt }) => endedAt === undefined);
          expect(open.length).toBe(command.status === 'starting' || command.status === 'running' ? 1 : 0);
          // What ran counts against the caller's rule, so it never runs more often than allowed.
          expect(command.attempts.filter(({ startedAt }) => startedAt !== undefined).length).toBeLessThanOrEqual(
            on.length ? 3 : 1,
          );
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

test.for<[string, Observation]>([
  ['could not start it', { kind: 'rejected', attempt: 1, detail: 'No room.', retryable: true }],
  ['lost sight of it', { kind: 'gone', attempt: 1, output: { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 } }],
  ['saw it end', ended()],
])(
  'of two that claimed one attempt, the word of the slower, who %s, says nothing of the run of the faster',
  ([, word]) => {
    const command = aRunning();
    expect(step(command, { ...word, ticket: 'of-the-slower' } as Observation, at(5))).toEqual({
      next: command,
      effects: [],
    });
    expect(step(command, { ...word, ticket: 'ticket-1' } as Observation, at(5)).next).not.toBe(command);
  },
);
