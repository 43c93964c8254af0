import { expect, test } from 'vitest';
import { readMetrics } from '../../../shared/app/read-metrics.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import { recover } from '../../../shared/app/sweep.ts';
import { prometheusMetrics } from '../../../shared/telemetry/prometheus.ts';
import { owner, testWorker } from '../../support/deps.ts';
import { settle } from '../../support/fake-clock.ts';

/** A server that keeps figures and runs nothing, and another process on its store. */
const open = async () => {
  const other = await testWorker({ work: false });
  const { clock, store } = other;
  const metrics = prometheusMetrics({ clock, targets: ['local'] });
  const server = { ...(await testWorker({ clock, store, work: false, name: 'server' })), metrics };
  const read = async (figure: string) => {
    const { text } = await readMetrics(server);
    const line = text.split('\n').find((one) => one.startsWith(`${figure} `));
    return line === undefined ? undefined : Number(line.slice(figure.length));
  };
  return { clock, store, server, other, read };
};

const QUEUED = 'errand_commands_unfinished{status="queued",priority="normal"}';
const OLDEST = 'errand_queue_oldest_age_seconds{priority="normal"}';
const body = { argv: ['true'] as [string, ...string[]] };

test('what was stored before a start is counted as waiting from its submission on', async () => {
  const { clock, server, other, read } = await open();
  await submitCommand(other, owner, { body });
  await clock.advance(5_000);
  await submitCommand(other, owner, { body });
  expect([await read(QUEUED), await read(OLDEST)]).toEqual([0, 0]);
  await recover(server);
  expect([await read(QUEUED), await read(OLDEST)]).toEqual([2, 5]);
});

test('what another process ended is no longer shown as waiting', async () => {
  const { store, clock, server, read } = await open();
  for (let n = 0; n < 3; n++) await submitCommand(server, owner, { body });
  expect(await read(QUEUED)).toBe(3);
  const worker = await testWorker({ clock, store, name: 'another' });
  await recover(worker);
  await expect
    .poll(async () => {
      await settle();
      return (await worker.commands.due(Number.POSITIVE_INFINITY, 10)).length;
    })
    .toBe(0);
  expect([await read(QUEUED), await read(OLDEST)]).toEqual([0, 0]);
});

test('what is removed from the store is no longer shown', async () => {
  const { store, server, read } = await open();
  const { command } = await submitCommand(server, owner, { body });
  expect(await read(QUEUED)).toBe(1);
  const [one] = await server.commands.due(Number.POSITIVE_INFINITY, 1);
  expect(one).toBe(`default/${command.id}`);
  await store.write([{ remove: { pk: `default/${command.id}`, sk: 'command' } }]);
  expect(await server.commands.find(`default/${command.id}` as never)).toBeUndefined();
  expect(await read(QUEUED)).toBe(0);
});

test('where nothing is counted there is nothing to read', async () => {
  const worker = await testWorker({ work: false });
  await expect(readMetrics(worker)).rejects.toMatchObject({ code: 'not-found' });
});

test('a target that is no longer configured counts as another, and an odd method too', async () => {
  const { server, read } = await open();
  server.metrics.called({ target: 'gone', operation: 'start', outcome: 'ended' });
  server.metrics.answered({ route: undefined, method: 'BREW', status: 404, seconds: 0, waits: false });
  expect(await read('errand_provider_calls_total{target="other",operation="start",outcome="ended"}')).toBe(1);
  expect(await read('errand_http_requests_total{method="other",route="none",status="404"}')).toBe(1);
});
