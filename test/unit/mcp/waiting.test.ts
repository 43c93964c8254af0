import { describe, expect, test } from 'vitest';
import { cancelCommand } from '../../../shared/app/cancel-command.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import type { Command } from '../../../shared/domain/command.ts';
import { waitSecondsOf, waitWithProgress } from '../../../shared/mcp/waiting.ts';
import { owner, testWorker } from '../../support/deps.ts';
import { settle } from '../../support/fake-clock.ts';

interface Case {
  readonly waitSeconds: number;
  /** @default 45 */
  readonly most?: number;
  readonly endsAt?: number;
  /** Whoever ends it does so in another process, and nobody here is told. */
  readonly elsewhere?: boolean;
  readonly leavesAt?: number;
  /** It was submitted by this call, which has watched it since. */
  readonly watched?: boolean;
  /** How long the client takes to hear of progress. */
  readonly hearsForSeconds?: number;
}

interface Waited {
  /** Seconds after the call. */
  readonly at: number;
  readonly status: Command['status'];
  readonly told: readonly number[];
}

/** Waits for a command that nobody runs, while time goes by second after second. */
const wait = async (over: Case): Promise<Waited> => {
  const { waitSeconds, most = 45, endsAt, elsewhere = false, leavesAt, watched = false, hearsForSeconds = 0 } = over;
  const deps = await testWorker({ work: false });
  const { clock, store } = deps;
  const other = elsewhere ? await testWorker({ clock, store, work: false, name: 'other' }) : deps;
  const { command, watch } = await submitCommand(deps, owner, { body: { argv: ['true'] }, watched });
  const leaving = new AbortController();
  const told: number[] = [];
  const call = {
    actor: owner,
    mostWaitSeconds: most,
    signal: leaving.signal,
    async progress(seconds: number, message: string) {
      expect(message).toBe(`${command.id} is queued, after ${seconds} s of waiting`);
      told.push(seconds);
      if (hearsForSeconds > 0) await clock.sleep(hearsForSeconds * 1_000);
    },
  };
  let answered: Waited | undefined;
  const began = clock.now();
  const happens = async (second: number): Promise<void> => {
    if (second === endsAt) await cancelCommand(other, owner, command.id);
    if (second === leavesAt) leaving.abort();
    await settle();
  };
  if (leavesAt === 0 || endsAt === 0) await happens(0);
  const waiting = waitWithProgress(deps, call, command, waitSeconds, watch).then(({ status }) => {
    answered = { at: (clock.now() - began) / 1_000, status, told };
  });
  await settle();
  for (let second = 1; !answered && second <= 100; second++) {
    await clock.advance(1_000);
    await happens(second);
  }
  await waiting;
  return answered as unknown as Waited;
};

describe('a call that waits', () => {
  test.for<[string, Case, Waited]>([
    ['not at all, says how it stands', { waitSeconds: 0 }, { at: 0, status: 'queued', told: [] }],
    [
      'for one that has ended already, is answered at once',
      { waitSeconds: 20, endsAt: 0 },
      { at: 0, status: 'canceled', told: [] },
    ],
    [
      'for one that ended between its submission and the call, is answered at once',
      { waitSeconds: 20, endsAt: 0, watched: true },
      { at: 0, status: 'canceled', told: [] },
    ],
    [
      'is answered with the end, and hears nothing of less than 5 s',
      { waitSeconds: 20, endsAt: 3 },
      { at: 3, status: 'canceled', told: [] },
    ],
    [
      'hears every 5 s that it goes on, and nothing beside the answer',
      { waitSeconds: 20, endsAt: 13 },
      { at: 13, status: 'canceled', told: [5, 10] },
    ],
    [
      'sees within a second what another process ended',
      { waitSeconds: 20, endsAt: 6, elsewhere: true },
      { at: 7, status: 'canceled', told: [5] },
    ],
    [
      'for what it submitted, sees the end of that too',
      { waitSeconds: 20, endsAt: 7, watched: true },
      { at: 7, status: 'canceled', told: [5] },
    ],
    [
      'for one that goes on, is answered in time',
      { waitSeconds: 12, endsAt: 30 },
      { at: 12, status: 'queued', told: [5, 10] },
    ],
    [
      'is answered when it has to be, however long it asked for',
      { waitSeconds: 45, most: 8 },
      { at: 8, status: 'queued', told: [5] },
    ],
    [
      'where no time is left, says how it stands',
      { waitSeconds: 20, most: 0, endsAt: 3 },
      { at: 0, status: 'queued', told: [] },
    ],
    [
      'and is taken back, is let go of at once, and the command goes on',
      { waitSeconds: 45, leavesAt: 6 },
      { at: 6, status: 'queued', told: [5] },
    ],
    [
      'and was taken back before, is let go of at once',
      { waitSeconds: 45, leavesAt: 0 },
      { at: 0, status: 'queued', told: [] },
    ],
    [
      'is answered in time by a client that is slow to hear of progress',
      { waitSeconds: 12, hearsForSeconds: 4 },
      { at: 12, status: 'queued', told: [5] },
    ],
  ])('%s', async ([, given, expected]) => {
    expect(await wait(given)).toEqual(expected);
  });
});

test.for([
  [undefined, 20],
  [0, 0],
  [45, 45],
  [46, undefined],
  [-1, undefined],
  [1.5, undefined],
  ['5', undefined],
] as const)('waitSeconds %s is taken for %s', ([given, taken]) => {
  expect(waitSecondsOf(20).safeParse(given).data).toBe(taken);
});
