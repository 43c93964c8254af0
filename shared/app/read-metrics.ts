import { AppError } from '../domain/errors.ts';
import { referenceOf } from '../store/schema.ts';
import type { Deps } from './deps.ts';

/** Each brings others to the front. */
const MOST_LOOKS = 20;

/**
 * The figures of this process, for a monitoring system.
 * @throws AppError 'not-found' where nothing is counted
 */
export const readMetrics = async (
  deps: Pick<Deps, 'metrics' | 'commands' | 'fleet' | 'targets'>,
): Promise<{ readonly text: string; readonly contentType: string }> => {
  const { metrics, commands, fleet, targets } = deps;
  const { scrape } = metrics;
  if (!scrape) {
    const detail =
      'Nothing is counted here: figures are those of a server (errand serve). In the cloud they are in CloudWatch.';
    throw new AppError('not-found', detail);
  }
  // What another process ended was not counted here: those that seem to take long are looked at.
  for (let look = 0, isNews = true; isNews && look < MOST_LOOKS; look++) {
    isNews = false;
    for (const known of scrape.oldest()) {
      const stored = await commands.find(referenceOf(known.tenant, known.id));
      isNews ||= stored?.command.status !== known.status;
      if (stored) metrics.found(stored.command);
      else metrics.gone(known);
    }
  }
  await fleet.refresh();
  for (const { name } of targets) metrics.target(name, fleet.of(name).condition?.state ?? 'healthy');
  return { text: await scrape.render(), contentType: scrape.contentType };
};
