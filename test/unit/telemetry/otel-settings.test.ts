import { expect, test } from 'vitest';
import { readOtel } from '../../../shared/telemetry/otel-settings.ts';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };

test.for<[string, Record<string, string>, string | undefined]>([
  ['no endpoint', {}, undefined],
  ['an empty endpoint', { OTEL_EXPORTER_OTLP_ENDPOINT: '' }, undefined],
  ['an endpoint', ENDPOINT, 'parentbased_always_on'],
  [
    'an endpoint for traces alone',
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://a/v1/traces' },
    'parentbased_always_on',
  ],
  ['the SDK turned off', { ...ENDPOINT, OTEL_SDK_DISABLED: 'TRUE' }, undefined],
  ['no exporter', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }, undefined],
  ['a sampler', { ...ENDPOINT, OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.5' }, 'traceidratio'],
])('%s', ([, environment, sampler]) => {
  expect(readOtel(environment)?.sampler.name).toBe(sampler);
});

test.for<[Record<string, string>, string]>([
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318 hunter2' }, 'OTEL_EXPORTER_OTLP_ENDPOINT'],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'file:///hunter2' }, 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'],
  [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, 'OTEL_EXPORTER_OTLP_PROTOCOL'],
  [{ ...ENDPOINT, OTEL_TRACES_SAMPLER: 'hunter2' }, 'OTEL_TRACES_SAMPLER must be one of'],
  [{ ...ENDPOINT, OTEL_TRACES_SAMPLER_ARG: 'hunter2' }, 'OTEL_TRACES_SAMPLER_ARG'],
  [{ ...ENDPOINT, OTEL_TRACES_SAMPLER_ARG: '1.5' }, 'OTEL_TRACES_SAMPLER_ARG'],
])('%j is refused by the name of the variable, and its value is not told', ([environment, name]) => {
  const read = () => readOtel(environment);
  expect(read).toThrow(name);
  expect(read).not.toThrow('hunter2');
});
