import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { noRight, requirePermission } from '../access/access.ts';
import { noteRefusal } from '../app/audit-events.ts';
import type { Deps } from '../app/deps.ts';
import type { Endpoint } from '../contract/endpoint.ts';
import { type EndpointName, endpoints } from '../contract/endpoints.ts';
import type { Actor } from '../domain/actor.ts';
import { parseRunnerToken, type RunnerRight } from '../domain/runner-token.ts';
import { toNeighbourhood } from '../limits/addresses.ts';
import { rateClassOf } from '../limits/rates.ts';

export type Admitting = Pick<Deps, 'access' | 'rates' | 'auditLog' | 'clock' | 'log'>;

/** Who is let in. */
export interface Admitted {
  readonly actor: Actor;
  readonly right: RunnerRight;
  readonly rateLimit?: Record<string, string>;
}

/** Before anything else of the request is looked at. What an endpoint does not need is a hole that nothing reads. */
export const admit = async (
  deps: Admitting,
  name: EndpointName,
  { headers, requestContext }: APIGatewayProxyEventV2,
): Promise<Admitted> => {
  const { access, rates } = deps;
  const endpoint: Endpoint = endpoints[name];
  const nobody = {} as { actor: Actor; right: RunnerRight };
  if (endpoint.access === 'anyone') {
    rates.admitAnyone(requestContext.http.sourceIp);
    return nobody;
  }
  const token = /^Bearer ([\x21-\x7e]+)$/i.exec(headers['authorization'] ?? '')?.[1];
  if (endpoint.access !== 'runner') {
    const { sourceIp } = requestContext.http;
    const known = await access.authenticate(token);
    const actor = sourceIp === '' ? known : { ...known, place: toNeighbourhood(sourceIp) };
    return { ...nobody, actor, rateLimit: await enter(deps, actor, name) };
  }
  const right = token === undefined ? undefined : parseRunnerToken(token);
  if (!right) throw noRight();
  return { ...nobody, right };
};

/**
 * Counts a call of an endpoint by somebody who is known, and asks whether it may; who tries what it may not is written down.
 * @throws AppError 'rate-limited', 'forbidden'
 */
export const enter = async (deps: Admitting, actor: Actor, name: EndpointName): Promise<Record<string, string>> => {
  const endpoint: Endpoint = endpoints[name];
  const rateLimit = deps.rates.admit(actor, rateClassOf(endpoint));
  const { permission } = endpoint;
  if (permission === undefined) return rateLimit;
  try {
    requirePermission(actor, permission);
  } catch (refusal) {
    await noteRefusal(deps, actor, 'access.forbidden', name, { permission }).catch((error: unknown) =>
      deps.log.error('A refusal could not be written down', { actor: actor.id, error }),
    );
    throw refusal;
  }
  return rateLimit;
};
