import { expect, onTestFinished, test } from 'vitest';
import { deliverWebhooksEachMinute } from '../../../functions/workers/deliver-webhooks.ts';
import { keepDeliveringWebhooks } from '../../../shared/app/keep-delivering-webhooks.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import { removeWebhook } from '../../../shared/app/webhooks.ts';
import { owner } from '../../support/deps.ts';
import { settle } from '../../support/fake-clock.ts';
import { happen, openReceiver, status, until, webhook, webhookWorker } from '../../support/webhook-receivers.ts';

test('a server tells of what happens within two looks, also to a webhook that was made a moment before', async () => {
  const deps = await webhookWorker();
  const closing = new AbortController();
  const delivering = keepDeliveringWebhooks({ ...deps, closing: closing.signal });
  onTestFinished(async () => {
    closing.abort();
    await delivering;
  });
  await settle();
  const receiver = await openReceiver();
  const { id } = await webhook(deps, receiver.url, { events: ['command.submitted'] });
  const { command } = await submitCommand(deps, owner, { body: { argv: ['true'] } });
  for (let looks = 0; looks < 3; looks++) await deps.clock.advance(1_000);
  await until(() => receiver.messages.length > 0);
  expect(receiver.messages.map(({ event }) => event.subject)).toEqual([command.id]);
  await removeWebhook(deps, owner, id);
  await submitCommand(deps, owner, { body: { argv: ['true'] } });
  for (let looks = 0; looks < 3; looks++) await deps.clock.advance(1_000);
  expect(receiver.messages).toHaveLength(1);
});

test('a server that is told to end does so, whatever is on its way', async () => {
  const deps = await webhookWorker();
  const receiver = await openReceiver(() => {});
  await webhook(deps, receiver.url);
  await happen(deps);
  const closing = new AbortController();
  const delivering = keepDeliveringWebhooks({ ...deps, closing: closing.signal });
  await deps.clock.advance(2_000);
  await until(() => receiver.messages.length > 0);
  closing.abort();
  await deps.clock.advance(1_000);
  await delivering;
});

test('the cloud’s worker delivers what is in the log, and tries again within its minute, and ends', async () => {
  const deps = await webhookWorker();
  const receiver = await openReceiver(status(500));
  await webhook(deps, receiver.url, { events: ['command.submitted'] });
  await happen(deps);
  const called = deliverWebhooksEachMinute(deps)();
  await until(() => receiver.messages.length === 1);
  receiver.answer = status(204);
  await settle();
  await deps.clock.advance(10_000);
  await until(() => receiver.messages.length === 2);
  await deps.clock.advance(60_000);
  expect(await called).toBeGreaterThan(2);
  expect(receiver.messages.map(({ id }) => id)).toEqual(Array(2).fill(receiver.messages[0]?.id));
});

test('it ends at once where there is no webhook', async () => {
  expect(await deliverWebhooksEachMinute(await webhookWorker())()).toBe(1);
});
