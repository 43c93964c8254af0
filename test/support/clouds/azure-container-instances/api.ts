import { randomBytes } from 'node:crypto';
import { ArmError, notFound, type Operation } from './arm.ts';
import { type ContainerGroup, type GroupOptions, startGroup } from './container-group.ts';
import { toGroupRequest } from './group-request.ts';
import { keptOf, lastLines } from './kept-log.ts';
import type { GroupRequest } from './request-schema.ts';

export interface ContainerInstancesOptions extends GroupOptions {
  /** Images that Azure refuses when the group is made. */
  readonly inaccessibleImages?: readonly string[];
  /** @default 100, as in the cloud */
  readonly groupQuota?: number;
  /** Of groups, in five minutes and in an hour. @default 100 and 300, as in the cloud */
  readonly createsPer5Minutes?: number;
  readonly createsPerHour?: number;
  /** The one that is there. @default any */
  readonly resourceGroup?: string;
  readonly resourceGroupTags?: Readonly<Record<string, string>>;
  /** @default 50 */
  readonly pageSize?: number;
}

/** The one that the local server has. */
export const SUBSCRIPTION = '00000000-0000-0000-0000-000000000000';

export interface Answer {
  readonly status: number;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}
export interface Asked {
  readonly resourceGroup: string | undefined;
  readonly name: string;
  readonly container: string;
  readonly query: URLSearchParams;
  readonly body: string;
  readonly host: string;
}

export interface Api {
  readonly groups: ReadonlyMap<string, ContainerGroup>;
  kill(): Promise<void>;
  /** @throws ArmError */
  readonly does: Readonly<Record<Operation, (asked: Asked) => Answer>>;
}

/** What each operation does. */
export const makeApi = (options: ContainerInstancesOptions): Api => {
  const { inaccessibleImages = [], groupQuota = 100, pageSize = 50 } = options;
  const limits = [
    { creates: options.createsPer5Minutes ?? 100, seconds: 300 },
    { creates: options.createsPerHour ?? 300, seconds: 3_600 },
  ];
  const groups = new Map<string, ContainerGroup>();
  /** With those that others took the place of. */
  const all: ContainerGroup[] = [];
  const operations = new Map<string, () => 'InProgress' | 'Succeeded'>();
  const made: number[] = [];

  const groupOf = ({ name, resourceGroup = '' }: Asked): ContainerGroup => {
    const group = groups.get(name);
    if (!group) throw notFound(name, resourceGroup);
    return group;
  };

  /** Azure gives addresses of its own, over TLS. */
  const operation = (host: string, state: () => 'InProgress' | 'Succeeded'): Readonly<Record<string, string>> => {
    const id = randomBytes(16).toString('hex');
    operations.set(id, state);
    const path = `/subscriptions/${SUBSCRIPTION}/providers/Microsoft.ContainerInstance/locations/westeurope/operations/${id}`;
    return { 'azure-asyncoperation': `https://${host}${path}?api-version=2018-06-01`, 'retry-after': '1' };
  };

  const meter = (): void => {
    for (const { creates, seconds } of limits) {
      const leaving = made.filter((at) => at > Date.now() - seconds * 1_000).at(-creates);
      if (leaving === undefined) continue;
      const wait = Math.ceil((leaving + seconds * 1_000 - Date.now()) / 1_000);
      throw new ArmError(429, 'TooManyRequests', 'The number of requests exceeded the limit.', wait);
    }
    made.push(Date.now());
  };

  const create = (asked: Asked): Answer => {
    const { name, body, host } = asked;
    const request = toGroupRequest(name, body);
    meter();
    const before = groups.get(name);
    if (!before && groups.size >= groupQuota) {
      const quota = `container group quota 'ContainerGroups' exceeded in region '${request.location}'`;
      throw new ArmError(
        409,
        'ContainerGroupQuotaReached',
        `${quota}. Limit: '${groupQuota}', Usage: '${groups.size}' Requested: '1'.`,
      );
    }
    const refused = [...request.properties.containers, ...(request.properties.initContainers ?? [])]
      .map(({ properties }) => properties.image)
      .find((image) => inaccessibleImages.includes(image));
    if (refused !== undefined) {
      const where = `The image '${refused}' in container group '${name}' is not accessible.`;
      throw new ArmError(400, 'InaccessibleImage', `${where} Please check the image and registry credential.`);
    }
    if (before?.state() === 'Pending') {
      throw new ArmError(
        409,
        'ContainerGroupTransitioning',
        `The container group '${name}' is still transitioning, please retry later.`,
      );
    }
    if (before && shapeOf(before.request) !== shapeOf(request)) {
      throw new ArmError(
        400,
        'InvalidContainerGroupUpdate',
        `The updates on container group '${name}' are invalid: delete it first.`,
      );
    }
    // Of one that is there all containers are started again, also when it had ended.
    const group = start(asked, request, before?.stop());
    const headers = operation(host, () => (group.state() === 'Pending' ? 'InProgress' : 'Succeeded'));
    return { status: before ? 200 : 201, body: group.view(true), headers };
  };

  const start = (asked: Asked, request: GroupRequest, ended: Promise<void> = Promise.resolve()): ContainerGroup => {
    const { name } = asked;
    const id = `${groupsOf(asked)}/${name}`;
    const group = startGroup(id, request, options, ended);
    groups.set(name, group);
    all.push(group);
    return group;
  };

  const does: Readonly<Record<Operation, (asked: Asked) => Answer>> = {
    createOrUpdate: create,
    get: (asked) => ({ status: 200, body: groupOf(asked).view(true) }),
    delete({ name, host }) {
      const group = groups.get(name);
      if (!group) return { status: 204 };
      const body = group.view(true);
      const remove = () => void (groups.get(name) === group && groups.delete(name));
      if (group.isOver()) {
        remove();
        return { status: 200, body };
      }
      void group.stop().then(remove);
      return { status: 202, headers: operation(host, () => (groups.get(name) === group ? 'InProgress' : 'Succeeded')) };
    },
    list(asked) {
      const { query, host } = asked;
      const from = Number(query.get('$skiptoken') ?? 0);
      const value = [...groups.values()].slice(from, from + pageSize).map((group) => group.view(false));
      if (from + pageSize >= groups.size) return { status: 200, body: { value } };
      const nextLink = `https://${host}${groupsOf(asked)}?api-version=2023-05-01&$skiptoken=${from + pageSize}`;
      return { status: 200, body: { value, nextLink } };
    },
    start(asked) {
      const before = groupOf(asked);
      const group = start(asked, before.request, before.stop());
      return {
        status: 202,
        headers: operation(asked.host, () => (group.state() === 'Pending' ? 'InProgress' : 'Succeeded')),
      };
    },
    stop(asked) {
      const group = groupOf(asked);
      if (group.state() === 'Pending') {
        throw new ArmError(
          409,
          'ContainerGroupTransitioning',
          `The container group '${asked.name}' is still transitioning, please retry later.`,
        );
      }
      void group.stop();
      return { status: 204 };
    },
    logs(asked) {
      const { name, container, query } = asked;
      const one = groupOf(asked).containers.find(({ request }) => request.name === container);
      if (!one)
        throw new ArmError(404, 'ContainerNotFound', `The container '${container}' is not in the group '${name}'.`);
      if (one.runs() === 0) {
        throw new ArmError(409, 'ContainerGroupDeploymentNotReady', `The container group '${name}' is not ready.`);
      }
      const kept = keptOf(one.log(), one.state() === 'Running');
      const tail = Number(query.get('tail') ?? 0);
      return { status: 200, body: { content: tail > 0 ? lastLines(kept, tail) : kept } };
    },
    resourceGroup({ resourceGroup: name }) {
      const id = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${name}`;
      const { resourceGroupTags: tags } = options;
      const type = 'Microsoft.Resources/resourceGroups';
      const properties = { provisioningState: 'Succeeded' };
      return { status: 200, body: { id, name, type, location: 'westeurope', ...(tags ? { tags } : {}), properties } };
    },
    operation({ name }) {
      const state = operations.get(name)?.();
      if (!state) throw new ArmError(404, 'OperationNotFound', `The operation '${name}' was not found.`);
      return {
        status: 200,
        body: { id: name, status: state },
        headers: state === 'InProgress' ? { 'retry-after': '1' } : {},
      };
    },
  };

  const kill = async (): Promise<void> => {
    await Promise.all(all.map((group) => group.kill()));
  };

  return { groups, does, kill };
};

const groupsOf = ({ resourceGroup }: Asked): string =>
  `/subscriptions/${SUBSCRIPTION}/resourceGroups/${resourceGroup}/providers/Microsoft.ContainerInstance/containerGroups`;

/** What of a group can only be changed by making another. */
const shapeOf = ({ location, properties }: GroupRequest): string =>
  JSON.stringify([
    location,
    properties.osType,
    properties.restartPolicy,
    properties.subnetIds,
    properties.containers.map((one) => [one.name, one.properties.resources]),
  ]);
