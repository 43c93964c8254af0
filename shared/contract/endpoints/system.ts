import type { Endpoint } from '../endpoint.ts';
import { Healthy, TargetList } from '../schemas.ts';

export const systemEndpoints = {
  listProviders: {
    method: 'GET',
    path: '/v1/providers',
    function: 'providers',
    permission: 'providers:read',
    summary: 'Targets, what they can do, and whether they are healthy',
    answers: { 200: { description: 'All targets.', schema: TargetList } },
  },
  readMetrics: {
    method: 'GET',
    path: '/metrics',
    function: 'providers',
    permission: 'metrics:read',
    summary: 'Figures of a server for Prometheus; docs/observability.md lists them',
    answers: { 200: { description: 'All figures, in the text format 0.0.4.', mediaTypes: ['text/plain'] } },
  },
  checkHealth: {
    method: 'GET',
    path: '/healthz',
    function: 'system',
    access: 'anyone',
    summary: 'Is the process up?',
    answers: { 200: { description: 'Yes.', schema: Healthy } },
  },
  checkReady: {
    method: 'GET',
    path: '/readyz',
    function: 'system',
    access: 'anyone',
    summary: 'Can a command be taken and run?',
    answers: { 200: { description: 'Yes. Otherwise 503.', schema: Healthy } },
  },
  describeApi: {
    method: 'GET',
    path: '/openapi.json',
    function: 'system',
    access: 'anyone',
    summary: 'This API as OpenAPI 3.1',
    answers: { 200: { description: 'The description.', mediaTypes: ['application/json'] } },
  },
} as const satisfies Record<string, Endpoint>;
