import type { TenantId } from '../domain/ids.ts';
import { makeDeliveries } from './deliver-webhooks.ts';
import type { Deps } from './deps.ts';

/** Also those that another process stored. */
const TENANTS_EVERY_SECONDS = 1;

/** Delivers to the webhooks of all tenants as things happen, until the process is about to end. */
export const keepDeliveringWebhooks = async (deps: Deps): Promise<void> => {
  const { clock, closing, log, lookEverySeconds, webhooks, metrics } = deps;
  const deliveries = makeDeliveries(deps, { signal: closing });
  const loops = new Map<TenantId, Promise<void>>();

  /** As long as the tenant has any; what happens there gets its place in the log at once meanwhile. */
  const keepTelling = async (tenant: TenantId): Promise<void> => {
    using watch = deps.eventFeed.watch(tenant);
    while (!closing.aborted) {
      await watch.next(lookEverySeconds * 1_000);
      if (closing.aborted) return;
      const own = (await webhooks.enabled()).filter((one) => one.tenant === tenant);
      if (own.length === 0) return;
      deliveries.begin(own);
    }
  };
  const failed = (error: unknown) => {
    if (!closing.aborted) log.error('Webhooks could not be looked at; the next look will try again', { error });
  };

  while (!closing.aborted) {
    try {
      const enabled = await webhooks.enabled();
      metrics.webhooks(enabled);
      for (const { tenant } of enabled) {
        if (loops.has(tenant)) continue;
        loops.set(
          tenant,
          keepTelling(tenant)
            .catch(failed)
            .finally(() => loops.delete(tenant)),
        );
      }
      metrics.passed('webhooks');
    } catch (error) {
      failed(error);
    }
    await clock.sleep(TENANTS_EVERY_SECONDS * 1_000, closing);
  }
  await Promise.all([...loops.values(), deliveries.ended()]);
};
