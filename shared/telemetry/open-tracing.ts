import { type Environment, readOtel } from './otel-settings.ts';
import type { OtlpOptions } from './otlp.ts';
import { lazyTracing, noTracing, type Tracing } from './tracing.ts';

/**
 * Tracing as the standard variables ask for it; without an endpoint there is none, and OpenTelemetry is never loaded.
 * @throws Error in words for a person, for variables that cannot be obeyed
 */
export const openTracing = (environment: Environment, options: Omit<OtlpOptions, 'settings'>): Tracing => {
  const settings = readOtel(environment);
  if (!settings) return noTracing;
  const open = async (): Promise<Tracing> => {
    try {
      const { otlpTracing } = await import('./otlp.ts');
      return otlpTracing({ ...options, settings });
    } catch (error) {
      options.log.error('Spans cannot be told of', { error });
      return noTracing;
    }
  };
  // A server has time before its first request; a function starts with it, and may answer one that is not told of.
  const opening = options.mayFreeze ? undefined : open();
  return lazyTracing(() => opening ?? open());
};
