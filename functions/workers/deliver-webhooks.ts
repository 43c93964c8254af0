import { makeDeliveries } from '../../shared/app/deliver-webhooks.ts';
import type { Deps } from '../../shared/app/deps.ts';

/** Until the next call of it is there. */
const MINUTE_MS = 60_000;
const LOOK_EVERY_MS = 5_000;

/**
 * Called each minute: delivers to webhooks what is due and what got its place in a log, and looks again until the next minute. Where there is
 * no webhook, it ends at once. Resolves with how often it looked.
 */
export const deliverWebhooksEachMinute = (deps: Deps) => async (): Promise<number> => {
  const { clock, webhooks, closing } = deps;
  const until = clock.now() + MINUTE_MS;
  const deliveries = makeDeliveries(deps, { signal: closing, until });
  let looks = 0;
  for (;;) {
    const enabled = await webhooks.enabled();
    looks++;
    deliveries.begin(enabled);
    if (enabled.length === 0 || clock.now() + LOOK_EVERY_MS >= until) break;
    await clock.sleep(LOOK_EVERY_MS);
  }
  await deliveries.ended();
  return looks;
};
