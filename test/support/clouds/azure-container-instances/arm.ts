import type { IncomingMessage } from 'node:http';

/** An error as Azure Resource Manager tells it. */
export class ArmError extends Error {
  readonly status: number;
  readonly code: string;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, code: string, message: string, retryAfterSeconds?: number) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

export const notFound = (name: string, resourceGroup: string): ArmError =>
  new ArmError(
    404,
    'ResourceNotFound',
    `The Resource 'Microsoft.ContainerInstance/containerGroups/${name}' under resource group '${resourceGroup}' was not found.`,
  );

export type Operation =
  | 'createOrUpdate'
  | 'get'
  | 'delete'
  | 'list'
  | 'start'
  | 'stop'
  | 'logs'
  | 'operation'
  | 'resourceGroup';

export interface Route {
  readonly operation: Operation;
  readonly subscription: string;
  readonly resourceGroup: string | undefined;
  readonly name: string;
  readonly container: string;
}

const PROVIDER = '/providers/Microsoft\\.ContainerInstance';
const RESOURCE_GROUP = '^/subscriptions/(?<subscription>[^/]+)/resourceGroups/(?<resourceGroup>[^/]+)';
const GROUPS = `${RESOURCE_GROUP}${PROVIDER}/containerGroups`;
const GROUP = `${GROUPS}/(?<name>[^/]+)`;
const ROUTES: readonly (readonly [string, RegExp, Operation])[] = [
  ['GET', new RegExp(`${RESOURCE_GROUP}$`, 'i'), 'resourceGroup'],
  ['PUT', new RegExp(`${GROUP}$`, 'i'), 'createOrUpdate'],
  ['GET', new RegExp(`${GROUP}$`, 'i'), 'get'],
  ['DELETE', new RegExp(`${GROUP}$`, 'i'), 'delete'],
  ['GET', new RegExp(`${GROUPS}$`, 'i'), 'list'],
  ['POST', new RegExp(`${GROUP}/start$`, 'i'), 'start'],
  ['POST', new RegExp(`${GROUP}/stop$`, 'i'), 'stop'],
  ['GET', new RegExp(`${GROUP}/containers/(?<container>[^/]+)/logs$`, 'i'), 'logs'],
  [
    'GET',
    new RegExp(`^/subscriptions/(?<subscription>[^/]+)${PROVIDER}/locations/[^/]+/operations/(?<name>[^/]+)$`, 'i'),
    'operation',
  ],
];

export const routeOf = (method: string | undefined, pathname: string): Route | undefined => {
  const path = decodeURIComponent(pathname);
  for (const [verb, pattern, operation] of ROUTES) {
    const { groups } = (verb === method && pattern.exec(path)) || {};
    if (!groups) continue;
    const { subscription = '', resourceGroup, name = '', container = '' } = groups;
    return { operation, subscription, resourceGroup, name, container };
  }
  return undefined;
};

const API_VERSIONS: Readonly<Partial<Record<Operation, string>>> = {
  operation: '2018-06-01',
  resourceGroup: '2021-04-01',
};

/** What every request must have: a token, a version, and a place that is there. */
export const refuseUnless = (
  { headers }: IncomingMessage,
  { searchParams }: URL,
  route: Route | undefined,
  place: { readonly subscription: string; readonly resourceGroup: string | undefined },
): void => {
  if (!/^Bearer \S+$/.test(headers.authorization ?? '')) {
    throw new ArmError(401, 'AuthenticationFailed', "Authentication failed. The 'Authorization' header is missing.");
  }
  const version = searchParams.get('api-version');
  if (version === null) {
    throw new ArmError(400, 'MissingApiVersionParameter', 'The api-version query parameter is required.');
  }
  if (!route) return;
  if (version !== (API_VERSIONS[route.operation] ?? '2023-05-01')) {
    throw new ArmError(400, 'InvalidResourceType', `The api version '${version}' is not supported.`);
  }
  if (route.subscription !== place.subscription) {
    throw new ArmError(404, 'SubscriptionNotFound', `The subscription '${route.subscription}' could not be found.`);
  }
  const asked = route.resourceGroup?.toLowerCase();
  if (asked !== undefined && place.resourceGroup !== undefined && asked !== place.resourceGroup) {
    throw new ArmError(404, 'ResourceGroupNotFound', `Resource group '${route.resourceGroup}' could not be found.`);
  }
};
