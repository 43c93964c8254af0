/** What the standard variables of OpenTelemetry say, as far as it is for us to obey; the exporter's library reads its own. */
export interface OtelSettings {
  readonly sampler: { readonly name: SamplerName; readonly ratio: number };
}

const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
export type SamplerName = (typeof SAMPLERS)[number];

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 * Undefined where no endpoint is named, or tracing is turned off: then nothing is loaded.
 * @throws Error in words for a person, which names the variable and never its value: an endpoint may hold a password
 */
export const readOtel = (environment: Environment): OtelSettings | undefined => {
  // As the specification asks, what is empty counts as not set.
  const read = (name: string): string | undefined => environment[name]?.trim() || undefined;
  const name = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'].find((one) => read(one));
  const isOff = read('OTEL_SDK_DISABLED')?.toLowerCase() === 'true' || read('OTEL_TRACES_EXPORTER') === 'none';
  if (name === undefined || isOff) return undefined;
  if (!/^https?:$/.test(URL.parse(read(name) ?? '')?.protocol ?? '')) {
    throw new Error(`${name} is no URL of OTLP over HTTP. Give one such as http://127.0.0.1:4318.`);
  }
  const protocol = read('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL') ?? read('OTEL_EXPORTER_OTLP_PROTOCOL') ?? 'http/json';
  if (protocol === 'grpc') {
    throw new Error(
      'OTEL_EXPORTER_OTLP_PROTOCOL is grpc, which is not spoken here. Name the collector’s port for HTTP.',
    );
  }
  const sampler = read('OTEL_TRACES_SAMPLER') ?? 'parentbased_always_on';
  if (!isSampler(sampler)) throw new Error(`OTEL_TRACES_SAMPLER must be one of ${SAMPLERS.join(', ')}.`);
  const ratio = Number(read('OTEL_TRACES_SAMPLER_ARG') ?? 1);
  if (!(ratio >= 0 && ratio <= 1)) throw new Error('OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1.');
  return { sampler: { name: sampler, ratio } };
};

const isSampler = (name: string): name is SamplerName => (SAMPLERS as readonly string[]).includes(name);
