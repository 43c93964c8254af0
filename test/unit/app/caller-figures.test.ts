import { describe, expect, test } from 'vitest';
import type { Deps } from '../../../shared/app/deps.ts';
import { keepDeliveringWebhooks } from '../../../shared/app/keep-delivering-webhooks.ts';
import { receiveDelivery } from '../../../shared/app/receive-delivery.ts';
import { createTrigger, pauseTrigger } from '../../../shared/app/triggers.ts';
import { redeliver } from '../../../shared/app/webhook-deliveries.ts';
import { changeWebhook } from '../../../shared/app/webhooks.ts';
import { AppError } from '../../../shared/domain/errors.ts';
import { RETRY_SECONDS } from '../../../shared/domain/webhook-steps.ts';
import type { Metrics } from '../../../shared/telemetry/metrics.ts';
import { prometheusMetrics } from '../../../shared/telemetry/prometheus.ts';
import { owner, type TestWorker, testWorker } from '../../support/deps.ts';
import { settle } from '../../support/fake-clock.ts';
import { deliver, happen, openReceiver, status, webhook, webhookWorker } from '../../support/webhook-receivers.ts';
import { GITHUB_PUSH, GITHUB_SECRET, githubHeaders } from '../../support/webhooks.ts';

const counted = <D extends TestWorker>(deps: D): D & { readonly metrics: Metrics } => ({
  ...deps,
  metrics: prometheusMetrics({ clock: deps.clock, targets: ['local'] }),
});

/** What a name's series say, but those that are 0: `{labels}` with its value. */
const figures = async ({ metrics }: Pick<Deps, 'metrics'>, name: string): Promise<Record<string, number>> => {
  const lines = ((await metrics.scrape?.render()) ?? '').split('\n').filter((line) => line.startsWith(name));
  const series = lines.map((line): [string, number] => {
    const space = line.lastIndexOf(' ');
    return [line.slice(name.length, space), Number(line.slice(space))];
  });
  return Object.fromEntries(series.filter(([, value]) => value !== 0));
};
const TRIES = 'errand_webhook_attempts_total';
const ENDED = 'errand_webhook_deliveries_ended_total';
const WAITING = 'errand_webhook_deliveries_waiting';
const OLDEST = 'errand_webhook_oldest_age_seconds';
const TRIGGERED = 'errand_trigger_deliveries_total';

describe('what is counted of webhooks', () => {
  test('requests by what came of them, and which were made again; and what was given up', async () => {
    const deps = counted(await webhookWorker());
    const receiver = await openReceiver(status(503));
    await webhook(deps, receiver.url, { events: ['command.submitted'] });
    await happen(deps);
    await deliver(deps);
    expect(await figures(deps, TRIES)).toEqual({ '{outcome="refused",again="no"}': 1 });
    for (const seconds of RETRY_SECONDS.slice(0, -1)) {
      // Another is taken between, so that it is not disabled as one that always fails.
      receiver.answer = ({ event }, response) => response.writeHead(event.sequence > 3 ? 204 : 503).end();
      await deps.clock.advance(seconds * 1_200);
      await deliver(deps);
    }
    await happen(deps);
    await deliver(deps);
    expect(await figures(deps, ENDED)).toEqual({ '{outcome="delivered"}': 1 });
    await deps.clock.advance(86_400 * 1_200);
    await deliver(deps);
    expect(await figures(deps, ENDED)).toEqual({ '{outcome="delivered"}': 1, '{outcome="dead"}': 1 });
    expect(await figures(deps, TRIES)).toEqual({
      '{outcome="refused",again="no"}': 1,
      '{outcome="refused",again="yes"}': RETRY_SECONDS.length,
      '{outcome="delivered",again="no"}': 1,
    });
    expect(await figures(deps, WAITING)).toEqual({});
  });

  test('a receiver that does not answer is one of its own', async () => {
    const deps = counted(await webhookWorker());
    const receiver = await openReceiver((_, response) => response.socket?.destroy());
    await webhook(deps, receiver.url, { events: ['command.submitted'] });
    await happen(deps);
    await deliver(deps);
    expect(await figures(deps, TRIES)).toEqual({ '{outcome="failed",again="no"}': 1 });
  });

  test('what waits, for how long, until it is taken; sent again it waits from then on', async () => {
    const deps = counted(await webhookWorker());
    const receiver = await openReceiver(status(500));
    const { id } = await webhook(deps, receiver.url, { events: ['command.submitted'] });
    await happen(deps, 2);
    await deliver(deps);
    await deps.clock.advance(90_000);
    expect([await figures(deps, WAITING), await figures(deps, OLDEST)]).toEqual([{ '': 2 }, { '': 90 }]);
    receiver.answer = status(204);
    await deliver(deps);
    expect([await figures(deps, WAITING), await figures(deps, OLDEST)]).toEqual([{}, {}]);
    receiver.answer = status(500);
    await redeliver(deps, owner, id, { sequence: receiver.messages[0]?.event.sequence });
    await deliver(deps);
    await deps.clock.advance(7_000);
    expect([await figures(deps, WAITING), await figures(deps, OLDEST)]).toEqual([{ '': 1 }, { '': 7 }]);
  });

  test('nothing waits for one that was disabled, also by another process', async () => {
    const worker = await webhookWorker();
    const closing = new AbortController();
    const deps = { ...counted(worker), closing: closing.signal };
    const receiver = await openReceiver(status(500));
    const { id } = await webhook(deps, receiver.url, { events: ['command.submitted'] });
    await happen(deps);
    await deliver(deps);
    expect(await figures(deps, WAITING)).toEqual({ '': 1 });
    await changeWebhook(worker, owner, id, { enabled: false });
    const looking = keepDeliveringWebhooks(deps);
    await expect
      .poll(async () => {
        await settle();
        return figures(deps, WAITING);
      })
      .toEqual({});
    closing.abort();
    await looking;
  });
});

describe('what is counted of triggers', () => {
  const body = GITHUB_PUSH.body;
  const open = async (over: object = {}) => {
    const deps = counted(await testWorker({ work: false }));
    const trigger = { signature: { kind: 'github' }, secret: GITHUB_SECRET, command: { argv: ['true'] }, ...over };
    const { id } = await createTrigger(deps, owner, trigger as never);
    const take = (headers = githubHeaders(body), to: string = id): Promise<unknown> =>
      receiveDelivery(deps, to, { headers, body }).catch((error: unknown) => error);
    return { deps, id, take };
  };

  test.for<[string, (own: Awaited<ReturnType<typeof open>>) => Promise<unknown>, string, object?]>([
    ['that starts a command', ({ take }) => take(), 'outcome="submitted",reason="none"'],
    ['that a filter keeps out', ({ take }) => take(), 'outcome="skipped",reason="filter"', { equals: 'issues' }],
    [
      'that asks if somebody is there',
      ({ take }) => take(githubHeaders(body, { 'x-github-event': 'ping' })),
      'outcome="skipped",reason="ping"',
    ],
    [
      'whose signature is wrong',
      ({ take }) => take(githubHeaders(body, {}, 'other')),
      'outcome="refused",reason="signature"',
    ],
    [
      'to a trigger that is not there',
      ({ take }) => take(undefined, 'trg_0000000000000000'),
      'outcome="refused",reason="unknown"',
    ],
    [
      'to one that is paused',
      async ({ deps, id, take }) => {
        await pauseTrigger(deps, owner, id);
        await take();
      },
      'outcome="refused",reason="paused"',
    ],
    [
      'that the store fails',
      ({ deps, id }) =>
        receiveDelivery(
          { ...deps, triggers: { ...deps.triggers, locate: () => Promise.reject(new Error('lost')) } },
          id,
          { headers: githubHeaders(body), body },
        ).catch(() => {}),
      'outcome="refused",reason="internal"',
    ],
    [
      'that comes too fast',
      ({ deps, id }) =>
        receiveDelivery(
          {
            ...deps,
            rates: {
              ...deps.rates,
              admitDelivery() {
                throw new AppError('rate-limited', 'Too many.');
              },
            },
          },
          id,
          { headers: githubHeaders(body), body },
        ).catch(() => {}),
      'outcome="refused",reason="rate-limited"',
    ],
  ])('a delivery %s', async ([, act, labels, filter]) => {
    const own = await open(filter ? { filters: [{ on: 'event', ...filter }] } : {});
    await act(own);
    expect(await figures(own.deps, TRIGGERED)).toEqual({ [`{${labels}}`]: 1 });
  });

  test('one that comes twice is a start and a repetition', async () => {
    const { deps, take } = await open();
    await take();
    await take();
    expect(await figures(deps, TRIGGERED)).toEqual({
      '{outcome="submitted",reason="none"}': 1,
      '{outcome="repeated",reason="none"}': 1,
    });
  });
});
