import type { Endpoint } from './endpoint.ts';
import { accessEndpoints } from './endpoints/access.ts';
import { auditEndpoints } from './endpoints/audit.ts';
import { commandEndpoints } from './endpoints/commands.ts';
import { eventEndpoints } from './endpoints/events.ts';
import { mcpEndpoints } from './endpoints/mcp.ts';
import { policyEndpoints } from './endpoints/policies.ts';
import { runnerEndpoints } from './endpoints/runner.ts';
import { scheduleEndpoints } from './endpoints/schedules.ts';
import { secretEndpoints } from './endpoints/secrets.ts';
import { sessionTokenEndpoints } from './endpoints/session-tokens.ts';
import { sessionEndpoints } from './endpoints/sessions.ts';
import { systemEndpoints } from './endpoints/system.ts';
import { triggerEndpoints } from './endpoints/triggers.ts';
import { usageEndpoints } from './endpoints/usage.ts';
import { webhookEndpoints } from './endpoints/webhooks.ts';
import { workflowEndpoints } from './endpoints/workflows.ts';

/**
 * THE endpoint table. Routes, request validation, who may call, OpenAPI and the client are made from it: to add an endpoint,
 * add its entry in its area's file and its use case in shared/app.
 */
export const endpoints = {
  ...commandEndpoints,
  ...accessEndpoints,
  ...sessionTokenEndpoints,
  ...policyEndpoints,
  ...auditEndpoints,
  ...eventEndpoints,
  ...scheduleEndpoints,
  ...sessionEndpoints,
  ...triggerEndpoints,
  ...webhookEndpoints,
  ...workflowEndpoints,
  ...secretEndpoints,
  ...usageEndpoints,
  ...mcpEndpoints,
  ...systemEndpoints,
  ...runnerEndpoints,
} as const satisfies Record<string, Endpoint>;

export type EndpointName = keyof typeof endpoints;

/** Where a request goes: an endpoint with its path parameters, or why not. */
export type Match =
  | { readonly kind: 'endpoint'; readonly name: EndpointName; readonly params: Record<string, string> }
  | { readonly kind: 'wrong-method'; readonly allow: readonly string[] }
  | { readonly kind: 'unknown-path' };

const routes = (Object.entries(endpoints) as [EndpointName, Endpoint][]).map(([name, { method, path }]) => ({
  name,
  method,
  segments: path.split('/'),
}));

/** Finds the endpoint for a method and a raw (still percent-encoded) path. */
export const matchEndpoint = (method: string, rawPath: string): Match => {
  const segments = rawPath.split('/');
  const here = routes.filter(
    (route) =>
      route.segments.length === segments.length &&
      route.segments.every((part, i) => part.startsWith('{') || part === segments[i]),
  );
  const route = here.find((candidate) => candidate.method === method);
  if (!route) {
    return here.length > 0 ? { kind: 'wrong-method', allow: here.map((r) => r.method) } : { kind: 'unknown-path' };
  }
  const params: Record<string, string> = {};
  for (const [i, part] of route.segments.entries()) {
    if (part.startsWith('{')) params[part.slice(1, -1)] = decodeSegment(segments[i] ?? '');
  }
  return { kind: 'endpoint', name: route.name, params };
};

/** A malformed escape stays as it is: the parameter's schema then refuses it with a pointer. */
const decodeSegment = (segment: string): string => {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
};
