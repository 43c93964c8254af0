import { expect, test } from 'vitest';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import { AppError } from '../../../shared/domain/errors.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import type { Store } from '../../../shared/store/store.ts';
import { owner, type TestWorker, testWorker } from '../../support/deps.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const submit = (deps: TestWorker) =>
  submitCommand(deps, owner, { body: { argv: ['true'] }, idempotencyKey: 'one and the same' });

test('a submission that meets a fault while another has taken its key, and not stored its command yet, is not refused for good', async () => {
  const clock = fakeClock();
  const store: Store = { ...sqliteStore({ file: ':memory:' }), atomicWrites: 'costly' };
  const goOn = Promise.withResolvers<void>();
  const taken = Promise.withResolvers<void>();
  let writes = 0;
  const slow: Store = {
    ...store,
    async write(parts) {
      if (++writes === 2) {
        taken.resolve();
        await goOn.promise;
      }
      return store.write(parts);
    },
  };
  const first = await testWorker({ clock, store: slow, work: false });
  const second = await testWorker({ clock, store, work: false });
  writes = 0;
  const submitting = submit(first);
  await taken.promise;
  const faulty = {
    ...second,
    policies: {
      ...second.policies,
      present: async () => {
        throw new AppError('unavailable', 'away');
      },
    },
  };
  await expect(submit(faulty)).rejects.toMatchObject({ code: 'unavailable' });
  goOn.resolve();
  const { command } = await submitting;
  expect(await submit(faulty)).toMatchObject({ repeated: true, command: { id: command.id } });
});
