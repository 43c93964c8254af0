import { describe, expect, test } from 'vitest';
import { advanceCommand } from '../../../shared/app/advance-command.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import type { SubmitCommand } from '../../../shared/contract/schemas.ts';
import { type Actor, ownerOf } from '../../../shared/domain/actor.ts';
import { toTenantId } from '../../../shared/domain/ids.ts';
import { LIMITS } from '../../../shared/domain/limits.ts';
import { referenceOf } from '../../../shared/store/schema.ts';
import { owner, testWorker } from '../../support/deps.ts';

const ASKED: SubmitCommand = { argv: ['printf', 'hi'], cacheSeconds: 60 };

/** A worker that runs each command when it is submitted. */
const worker = async () => {
  const deps = await testWorker({ work: false });
  const submit = async (body: SubmitCommand, actor: Actor = owner, more: object = {}) => {
    const submitted = await submitCommand(deps, actor, { body, ...more });
    const { tenant, id } = submitted.command;
    if (submitted.cache !== 'hit') await advanceCommand(deps, referenceOf(tenant, id));
    return { id, cache: submitted.cache };
  };
  return { deps, submit };
};

describe('a command with cacheSeconds', () => {
  test('is answered with the one before, while that is no older', async () => {
    const { deps, submit } = await worker();
    const first = await submit(ASKED);
    expect(first.cache).toBe('miss');
    await deps.clock.advance(60_000);
    expect(await submit(ASKED)).toEqual({ id: first.id, cache: 'hit' });
    await deps.clock.advance(1);
    const second = await submit(ASKED);
    expect(second).toMatchObject({ cache: 'miss' });
    expect(second.id).not.toBe(first.id);
    expect(await submit(ASKED)).toEqual({ id: second.id, cache: 'hit' });
  });

  test('is content with what is as old as it says itself, not as the one before said', async () => {
    const { deps, submit } = await worker();
    const first = await submit({ ...ASKED, cacheSeconds: 1 });
    await deps.clock.advance(3_000_000);
    expect(await submit({ ...ASKED, cacheSeconds: 3_600 })).toEqual({ id: first.id, cache: 'hit' });
    await deps.clock.advance(LIMITS.cacheSeconds * 1_000);
    expect(await submit({ ...ASKED, cacheSeconds: LIMITS.cacheSeconds })).toMatchObject({ cache: 'miss' });
  });

  const asked: SubmitCommand = {
    script: 'cat',
    env: { A: '1' },
    stdin: 'x',
    timeoutSeconds: 9,
    cacheSeconds: 60,
  };
  test.each<[string, Partial<SubmitCommand>, 'hit' | 'miss']>([
    ['nothing', {}, 'hit'],
    ['its labels', { labels: { team: 'a' } }, 'hit'],
    ['its priority', { priority: 'high' }, 'hit'],
    ['its time in the queue', { queueTtlSeconds: 5 }, 'hit'],
    ['how often it is tried', { retry: { maxAttempts: 2, on: ['lost'] } }, 'hit'],
    ['its script', { script: 'cat -' }, 'miss'],
    ['its shell', { shell: '/bin/bash' }, 'miss'],
    ['a variable', { env: { A: '2' } }, 'miss'],
    ['its input', { stdin: 'y' }, 'miss'],
    ['its folder', { cwd: '/' }, 'miss'],
    ['its time-out', { timeoutSeconds: 8 }, 'miss'],
  ])('differs in %s from the one before: %s', async (_, change, cache) => {
    const { submit } = await worker();
    await submit(asked);
    expect((await submit({ ...asked, ...change })).cache).toBe(cache);
  });

  test('is executed when the one before failed, or has not ended', async () => {
    const { deps, submit } = await worker();
    const failing: SubmitCommand = { script: 'exit 1', cacheSeconds: 60 };
    await submit(failing);
    expect((await submit(failing)).cache).toBe('miss');
    await submitCommand(deps, owner, { body: ASKED });
    expect((await submit(ASKED)).cache).toBe('miss');
  });

  test('is not answered from what another tenant did, nor with what its caller may not read', async () => {
    const { submit } = await worker();
    await submit(ASKED);
    expect((await submit(ASKED, ownerOf(toTenantId('acme')))).cache).toBe('miss');
    const limited: Actor = { ...owner, scope: { labels: { team: 'a' } } };
    const own = await submit(ASKED, limited);
    expect(own.cache).toBe('miss');
    expect(await submit(ASKED, limited)).toEqual({ id: own.id, cache: 'hit' });
    expect(await submit(ASKED)).toEqual({ id: own.id, cache: 'hit' });
  });

  test('without it, and of a schedule or a replay, is always executed', async () => {
    const { submit } = await worker();
    const first = await submit(ASKED);
    const { cacheSeconds: _, ...plain } = ASKED;
    expect((await submit(plain)).cache).toBeUndefined();
    expect((await submit({ ...ASKED, cacheSeconds: 0 })).cache).toBeUndefined();
    const replayed = await submit(ASKED, owner, { replayOf: first.id });
    expect(replayed.cache).toBeUndefined();
    expect(replayed.id).not.toBe(first.id);
  });

  test('and with an idempotency key is what that key made', async () => {
    const { deps, submit } = await worker();
    const key = { idempotencyKey: 'k' };
    const first = await submit(ASKED, owner, key);
    await deps.clock.advance(61_000);
    const later = await submit(ASKED);
    expect(later.id).not.toBe(first.id);
    const repeated = await submitCommand(deps, owner, { body: ASKED, ...key });
    expect(repeated).toMatchObject({ command: { id: first.id }, repeated: true });
  });

  test('is executed though the store fails to note it', async () => {
    const { deps, submit } = await worker();
    deps.answers.keep = async () => {
      throw new Error('throttled');
    };
    expect((await submit(ASKED)).cache).toBe('miss');
    expect((await submit(ASKED)).cache).toBe('miss');
  });
});
