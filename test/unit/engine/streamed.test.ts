import { describe, expect, test } from 'vitest';
import { type Command, currentAttempt } from '../../../shared/domain/command.ts';
import { DEFAULT_RULES } from '../../../shared/engine/rules.ts';
import { step } from '../../../shared/engine/step.ts';
import { aRunning, aStarting, at, INLINE, SECOND, STREAMED, T0 } from '../../support/commands.ts';

const { leaseSeconds, unheardSeconds } = DEFAULT_RULES;
const holding = { kind: 'looked', worker: 'worker-1', ticket: '', holding: true } as const;
const looked = { ...holding, worker: 'worker-2', ticket: 'ticket-2', holding: false } as const;
const unheard = { kind: 'unheard', attempt: 1, detail: 'The stream was cut.' } as const;
const streamed = (seconds: number) => at(seconds, { target: STREAMED });
const leaseOf = (command: Command): number => ((currentAttempt(command)?.leaseUntil ?? 0) - T0) / SECOND;
const long = { timeoutSeconds: 800 };
const running = (): Command => {
  const { next } = step(
    aStarting({}, long),
    { kind: 'redeemed', attempt: 1, ticket: 'ticket-1', runner: 'a'.repeat(32) },
    streamed(0),
  );
  return next;
};

describe('an inline run whose runner is elsewhere', () => {
  test('that is not heard of any more goes on when it was started', () => {
    const command = running();
    expect(step(command, unheard, streamed(5))).toEqual({ next: command, effects: [] });
  });

  test('that is not heard of and was never started is set aside, and its ticket is void', () => {
    const { next } = step(aStarting({}, long), unheard, streamed(5));
    expect(next).toMatchObject({ status: 'queued', attempts: [{ status: 'expired', detail: 'The stream was cut.' }] });
    const late = { kind: 'redeemed', attempt: 1, ticket: 'ticket-1', runner: 'b'.repeat(32) } as const;
    expect(step(next, late, streamed(6)).next).toBe(next);
  });

  test('of which an earlier attempt is not heard is left alone', () => {
    const command = running();
    expect(step(command, { ...unheard, attempt: 0 }, streamed(5)).next).toBe(command);
  });

  test('has a short lease first, which costs most commands no renewal, and then a long one', () => {
    const command = running();
    expect(leaseOf(command)).toBe(leaseSeconds);
    expect(step(command, holding, streamed(leaseSeconds / 2 - 1)).next).toBe(command);
    const renewed = step(command, holding, streamed(leaseSeconds / 2)).next;
    expect(leaseOf(renewed)).toBe(leaseSeconds / 2 + unheardSeconds);
    expect(step(renewed, holding, streamed(leaseSeconds / 2 + unheardSeconds / 2 - 1)).next).toBe(renewed);
    const again = leaseSeconds / 2 + unheardSeconds / 2;
    expect(leaseOf(step(renewed, holding, streamed(again)).next)).toBe(again + unheardSeconds);
  });

  test('is not asked after and not started again by another worker as long as its runner looks', () => {
    let command = running();
    for (let seconds = 3; seconds < 780; seconds += 3) {
      command = step(command, holding, streamed(seconds)).next;
      expect(step(command, looked, streamed(seconds + 1))).toEqual({ next: command, effects: [] });
      expect(step(command, { kind: 'swept' }, streamed(seconds + 2)).effects).toEqual([]);
    }
    expect(command.attempts).toHaveLength(1);
  });

  test('is asked after once nobody has looked for a whole long lease', () => {
    const renewed = step(running(), holding, streamed(20)).next;
    expect(step(renewed, { kind: 'swept' }, streamed(20 + unheardSeconds - 1)).effects).toEqual([]);
    expect(step(renewed, { kind: 'swept' }, streamed(20 + unheardSeconds)).effects).toMatchObject([
      { kind: 'observe' },
    ]);
  });

  test('is stopped by the look of its runner after a cancel, though its worker is dead', () => {
    const canceled = step(running(), { kind: 'cancel-requested' }, streamed(5)).next;
    expect(step(canceled, looked, streamed(5)).effects).toEqual([]);
    const { next } = step(canceled, holding, streamed(6));
    expect(currentAttempt(next)?.stop).toMatchObject({ reason: 'canceled' });
  });

  test('that was to stop and is not heard of is lost, and not tried again: nobody saw it gone', () => {
    const command = step(running(), { kind: 'cancel-requested' }, streamed(1)).next;
    const stopping = step(command, holding, streamed(2)).next;
    const gone = { kind: 'gone', attempt: 1, output: { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 } } as const;
    expect(step(stopping, { ...gone, unheard: true }, streamed(200)).next).toMatchObject({ status: 'lost' });
    expect(step(stopping, gone, streamed(200)).next).toMatchObject({ status: 'canceled' });
    const retried = { ...stopping.spec, retry: { maxAttempts: 3, on: ['lost'] as const } };
    const { next } = step({ ...stopping, spec: retried }, { ...gone, unheard: true }, streamed(200));
    expect(next).toMatchObject({ status: 'lost', attempts: [{ status: 'lost' }] });
  });
});

test('a run that dies with its worker keeps its short lease', () => {
  expect(leaseOf(step(aRunning(), holding, at(20, { target: INLINE })).next)).toBe(20 + leaseSeconds);
});
