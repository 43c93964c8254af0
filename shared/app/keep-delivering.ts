import type { TenantId } from '../domain/ids.ts';
import { deliverTenantEvents } from './deliver-events.ts';
import type { Deps } from './deps.ts';
import { tenantsOf } from './tenants-of.ts';

const TENANTS_EVERY_SECONDS = 5;

/** Tells subscriptions of events as they happen, in all tenants, until the process is about to end. Without subscriptions it does nothing. */
export const keepDelivering = async (deps: Deps): Promise<void> => {
  const { clock, closing, log, metrics, subscriptions } = deps;
  if (subscriptions.length === 0) return;
  const loops = new Map<TenantId, Promise<void>>();
  while (!closing.aborted) {
    try {
      for await (const tenant of tenantsOf(deps)) {
        if (!loops.has(tenant)) loops.set(tenant, keepTelling(deps, tenant));
      }
      metrics.passed('events');
    } catch (error) {
      log.error('The tenants whose events are told of could not be listed', { error });
    }
    await clock.sleep(TENANTS_EVERY_SECONDS * 1_000, closing);
  }
  await Promise.all(loops.values());
};

const keepTelling = async (deps: Deps, tenant: TenantId): Promise<void> => {
  const { closing, lookEverySeconds } = deps;
  using watch = deps.eventFeed.watch(tenant);
  while (!closing.aborted) {
    await watch.next(lookEverySeconds * 1_000);
    if (!closing.aborted) await deliverTenantEvents(deps, tenant);
  }
};
