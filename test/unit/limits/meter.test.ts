import { expect, test } from 'vitest';
import { toTenantId } from '../../../shared/domain/ids.ts';
import { makeMeter } from '../../../shared/limits/meter.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';

const tenant = toTenantId('default');
const MIDNIGHT = Date.parse('2030-01-02T00:00:00Z');

test('two whose clocks differ count on at midnight, and a day that has begun does not end again', async () => {
  const store = sqliteStore({ file: ':memory:' });
  let aheadMs = 0;
  const meterAt = (offsetMs: number) => makeMeter(store, { now: () => MIDNIGHT + aheadMs + offsetMs });
  const [late, early] = [meterAt(-50), meterAt(50)];
  for (const meter of [late, early, late, early, late]) {
    const toll = meter.submission(tenant, { commandsPerDay: 100 });
    expect(await store.write(await toll())).toEqual({ ok: true });
  }
  aheadMs = 1_000;
  const { today, past } = await late.used(tenant, 30);
  expect(today).toMatchObject({ day: '2030-01-02', commands: 4, unfinished: 5 });
  expect(past).toMatchObject([{ day: '2030-01-01', commands: 1 }]);
});
