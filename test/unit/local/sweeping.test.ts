import { expect, onTestFinished, test } from 'vitest';
import { keepSweeping } from '../../../local/sweeping.ts';
import { attemptKeyOf, type CommandId } from '../../../shared/domain/ids.ts';
import type { HeldRun } from '../../../shared/providers/provider.ts';
import { owner, testWorker } from '../../support/deps.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import { scriptedProvider } from '../../support/scripted-provider.ts';

test('a server that runs on ends runs elsewhere that nobody waits for', async () => {
  const clock = fakeClock();
  const key = attemptKeyOf('cmd_gone' as CommandId, 1);
  const nobodys: HeldRun = { key, tenant: owner.tenant, worker: '', createdAt: clock.now() };
  const provider = scriptedProvider();
  const deps = await testWorker({
    clock,
    provider: {
      ...provider,
      async *held() {
        yield nobodys;
      },
    },
  });
  const closing = new AbortController();
  const sweeping = keepSweeping({ ...deps, closing: closing.signal });
  onTestFinished(async () => {
    closing.abort();
    await sweeping;
  });
  await clock.advance(9 * 60_000);
  expect(provider.canceled).toEqual([]);
  await clock.advance(2 * 60_000);
  expect(provider.canceled).toEqual([nobodys]);
});
