import type { Clock } from '../domain/clock.ts';
import { type Command, isFinal } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import { amountsOf, dayOf, endOfDay, exceeded, NOTHING_USED, type TenantLimits, type Usage } from '../domain/quotas.ts';
import type { Toll } from '../store/commands.ts';
import { keys } from '../store/schema.ts';
import type { Store, Write } from '../store/store.ts';

/** Counts what tenants with quotas use. The counters change in the same transaction as the commands, so they never drift. */
export interface Meter {
  /** One more command. Its writes reject with AppError 'quota-exceeded' when there is no room. */
  submission(tenant: TenantId, limits: TenantLimits): Toll;
  /** What a command used, if this change is its end; undefined if not, or if it is not counted. */
  end(before: Command, next: Command): Toll | undefined;
  /** Of today, and of so many days before, the last first. */
  used(tenant: TenantId, days: number): Promise<{ readonly today: Usage; readonly past: readonly Usage[] }>;
}

export const makeMeter = (store: Store, clock: Pick<Clock, 'now'>): Meter => {
  const read = async (tenant: TenantId): Promise<{ usage: Usage; past: Usage | undefined; version: number }> => {
    const item = await store.get(keys.usage(tenant));
    const stored = item?.data as Usage | undefined;
    const day = laterOf(dayOf(clock.now()), stored?.day);
    const usage = stored?.day === day ? stored : { ...NOTHING_USED, day, unfinished: stored?.unfinished ?? 0 };
    return { usage, past: stored && stored.day !== day ? stored : undefined, version: item?.version ?? 0 };
  };

  const count =
    (tenant: TenantId, add: (usage: Usage) => Usage): Toll =>
    async () => {
      const { usage, past, version } = await read(tenant);
      const today: Write = {
        put: { ...keys.usage(tenant), version: version + 1, data: add(usage) },
        ifVersion: version,
      };
      if (!past) return [today];
      // The first of a day puts the last day by.
      return [today, { put: { ...keys.usageOf(tenant, past.day), version: 1, data: past }, ifVersion: 0 }];
    };

  return {
    submission: (tenant, limits) =>
      count(tenant, (usage) => {
        const quota = exceeded(limits, usage);
        if (quota) throw noRoom(quota, limits[quota] as number, clock);
        return { ...usage, commands: usage.commands + 1, unfinished: usage.unfinished + 1 };
      }),

    end(before, next) {
      if (!next.metered || isFinal(before.status) || !isFinal(next.status)) return undefined;
      const { cpuMs, outputBytes } = amountsOf(next);
      return count(next.tenant, (usage) => ({
        ...usage,
        unfinished: Math.max(0, usage.unfinished - 1),
        cpuMs: usage.cpuMs + cpuMs,
        outputBytes: usage.outputBytes + outputBytes,
      }));
    },

    async used(tenant, days) {
      const { usage, past } = await read(tenant);
      const { pk, sk } = keys.usageOf(tenant, '');
      const items = await store.query(pk, { from: sk, to: `${sk}:`, limit: days, reverse: true });
      const before = [...(past ? [past] : []), ...items.map(({ data }) => data as Usage)];
      return { today: usage, past: before.slice(0, days) };
    },
  };
};

/**
 * Clocks differ, so that a day has begun for some and not for others: it does not end again. Back and forth, the day before would be put by
 * twice, which is refused.
 */
const laterOf = (day: string, begun: string | undefined): string => (begun !== undefined && begun > day ? begun : day);

const noRoom = (quota: string, most: number, clock: Pick<Clock, 'now'>): AppError => {
  const now = clock.now();
  if (quota === 'unfinishedCommands') {
    const detail = `This tenant has ${most} commands that have not ended, as many as it may. Try again when one has.`;
    return new AppError('quota-exceeded', detail, { headers: { 'retry-after': '1' } });
  }
  const seconds = Math.ceil((endOfDay(now) - now) / 1_000);
  const detail = `This tenant's quota for today is used up: ${quota} ${most}. It begins again at ${new Date(endOfDay(now)).toISOString()}; an owner can raise it.`;
  return new AppError('quota-exceeded', detail, { headers: { 'retry-after': String(seconds) } });
};
