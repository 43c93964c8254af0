import type { Clock } from '../domain/clock.ts';
import type { Provider } from '../providers/provider.ts';
import type { Metrics, ProviderFigures } from '../telemetry/metrics.ts';
import type { Target } from './deps.ts';

/** A target whose provider's calls are counted. */
export const meteredTarget = (target: Target, metrics: Metrics, clock: Pick<Clock, 'now'>): Target => {
  let metered: Promise<Provider> | undefined;
  return {
    ...target,
    load() {
      metered ??= target.load().then((provider) => meteredProvider(provider, target.name, metrics, clock));
      // What failed is tried again.
      metered.catch(() => (metered = undefined));
      return metered;
    },
  };
};

const meteredProvider = (provider: Provider, target: string, metrics: Metrics, clock: Pick<Clock, 'now'>): Provider => {
  const count = async <T>(
    operation: ProviderFigures['operation'],
    call: () => Promise<T>,
    outcomeOf: (answer: T) => string,
  ): Promise<T> => {
    const startedAt = clock.now();
    const lasts = operation === 'start' && provider.features.mode === 'inline';
    const called = (outcome: string): void =>
      metrics.called({
        ...{ target, operation, outcome },
        ...(lasts ? {} : { seconds: (clock.now() - startedAt) / 1_000 }),
      });
    try {
      const answer = await call();
      called(outcomeOf(answer));
      return answer;
    } catch (error) {
      called('error');
      throw error;
    }
  };
  return {
    ...provider,
    start: (run, io) =>
      count(
        'start',
        () => provider.start(run, io),
        ({ kind }) => kind,
      ),
    observe: (run) =>
      count(
        'observe',
        () => provider.observe(run),
        () => 'ok',
      ),
    cancel: (run) =>
      count(
        'cancel',
        () => provider.cancel(run),
        () => 'ok',
      ),
  };
};
