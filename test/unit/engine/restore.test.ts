import { describe, expect, test } from 'vitest';
import type { Command } from '../../../shared/domain/command.ts';
import { step } from '../../../shared/engine/step.ts';
import type { Observation } from '../../../shared/engine/types.ts';
import { aCommand, anAttempt, aRunning, aStarting, at, DETACHED, SECOND, T0 } from '../../support/commands.ts';

const output = { stdoutBytes: 3, stderrBytes: 0, droppedBytes: 0 };
const restored = (over: Partial<Extract<Observation, { kind: 'restored' }>> = {}): Observation => ({
  kind: 'restored',
  backedUpAt: T0,
  output,
  waitsOn: false,
  takesOver: false,
  ...over,
});
const LATER = at(3_600);
const retried = { retry: { maxAttempts: 3, on: ['lost' as const] } };
const detached = { ...LATER, target: DETACHED };
const heldRunning = (): Command =>
  aRunning({ attempts: [{ ...(aRunning().attempts[0] ?? anAttempt()), held: true, ref: 'run-1' }] });

describe('a command whose store was restored from a backup', () => {
  test.for<[string, Command, Observation, string]>([
    ['waited: it may have run since, and ends as lost', aCommand(), restored(), 'lost'],
    [
      'waited for a retry: the same',
      aCommand({ attempts: [anAttempt({ status: 'failed', endedAt: T0 })] }),
      restored(),
      'lost',
    ],
    ['waited, with a retry rule: the rule is for runs that are known of', aCommand({}, retried), restored(), 'lost'],
    ['waited, and whoever restores takes that on: it waits on', aCommand(), restored({ waitsOn: true }), 'queued'],
    ['was about to start: it may have run since', aStarting(), restored(), 'lost'],
    ['was about to start, and that is taken on: it waits', aStarting(), restored({ waitsOn: true }), 'queued'],
    ['ran', aRunning(), restored(), 'lost'],
    ['ran, and would be retried: a copy retries nothing', aRunning({}, retried), restored(), 'lost'],
    [
      'ran, and would be retried, and the old installation is gone',
      aRunning({}, retried),
      restored({ takesOver: true }),
      'queued',
    ],
    ['ran, not to be retried, and the old installation is gone', aRunning(), restored({ takesOver: true }), 'lost'],
    [
      'was to be canceled while it ran: nobody saw it gone',
      aRunning({ cancelRequestedAt: T0 }, retried),
      restored({ takesOver: true }),
      'lost',
    ],
  ])('%s', ([, command, seen, status]) => {
    const { next, effects } = step(command, seen, LATER);
    expect(next.status).toBe(status);
    expect(effects.filter(({ kind }) => kind !== 'wake')).toEqual([]);
    if (status === 'lost')
      expect(next.result).toMatchObject({
        reason: 'lost',
        exitCode: null,
        detail: expect.stringContaining('2030-01-01T00:00:00'),
      });
    if (status === 'lost') expect(next.dueAt).toBeUndefined();
  });

  test('has the output that was stored by then', () => {
    expect(step(aRunning(), restored(), LATER).next.result).toMatchObject(output);
  });

  test('that waits on is not given a ticket that was handed out before', () => {
    const { next } = step(aStarting(), restored({ waitsOn: true }), at(1));
    const late = step(next, { kind: 'redeemed', attempt: 1, ticket: 'ticket-1' }, at(2));
    expect(late.next).toBe(next);
  });

  test('has nothing at a provider, unless the installation that was backed up is gone', () => {
    const copy = step(heldRunning(), restored(), detached);
    expect(copy.next.attempts[0]).not.toHaveProperty('held');
    expect(copy.effects).toEqual([]);
    const taken = step(heldRunning(), restored({ takesOver: true }), detached);
    expect(taken.next).toMatchObject({ status: 'lost', attempts: [{ held: true }], dueAt: T0 + 3_600 * SECOND });
  });

  test('that had ended stays as it is', () => {
    const ended = aCommand({ status: 'succeeded', endedAt: T0, attempts: [] });
    expect(step(ended, restored(), LATER).next).toBe(ended);
  });
});
