import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { azureContainerInstances } from '../../shared/providers/azure-container-instances/azure-container-instances.ts';
import { ContainerInstancesConfig } from '../../shared/providers/azure-container-instances/config.ts';
import { SUBSCRIPTION } from '../support/clouds/azure-container-instances/api.ts';
import {
  CONFIG,
  heldBy,
  hurried,
  INSTALLATION,
  openContainerInstances,
  runs,
  sh,
  until,
} from '../support/clouds/azure-container-instances/open-container-instances.ts';
import type { HttpFault } from '../support/clouds/faults.ts';
import { recordedIo } from '../support/run-io.ts';

describe('the health of azure-container-instances', () => {
  test.for<[HttpFault, RegExp]>([
    [{ kind: 'status', status: 403, code: 'AuthorizationFailed' }, /role/],
    [{ kind: 'status', status: 404, code: 'ResourceGroupNotFound' }, /resource group/],
    [{ kind: 'status', status: 503, code: 'ServiceUnavailable' }, /does not answer/],
    [{ kind: 'hang' }, /does not answer/],
  ])('is bad, and says why: %o', async ([fault, words]) => {
    const { own, cloud } = await openContainerInstances({ clock: hurried });
    expect(await own.health()).toEqual({ healthy: true });
    cloud.faults.next('get', fault);
    expect(await own.health()).toEqual({ healthy: false, detail: expect.stringMatching(words) });
  });

  test('costs one read', async () => {
    const { own, cloud } = await openContainerInstances();
    await own.health();
    expect(Object.fromEntries(cloud.requests)).toEqual({ get: 1 });
  });

  test('is bad where nothing listens', async () => {
    const { parsed, context } = await openContainerInstances();
    const away = await azureContainerInstances({ ...parsed, endpoint: 'http://127.0.0.1:9' }, context);
    expect(await away.health()).toEqual({ healthy: false, detail: expect.stringContaining('cannot be reached') });
    expect(await away.start(sh('true'), recordedIo())).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
  });
});

describe('the config of azure-container-instances', () => {
  test.for<[string, object]>([
    ['an endpoint elsewhere', { endpoint: 'http://management.example' }],
    ['an endpoint over TLS, where a token would be shown', { endpoint: 'https://127.0.0.1:1' }],
    ['a subscription that is none', { subscriptionId: 'mine' }],
    ['a resource group with a slash', { resourceGroup: 'a/b' }],
    ['half a processor', { cpu: 0.5 }],
    ['memory between the steps', { memoryGiB: 1.25 }],
    ['a runner to be copied from nowhere', { runner: 'init' }],
    ['a subnet that is none', { subnetIds: ['my-subnet'] }],
    ['a key', { identity: { tenantId: SUBSCRIPTION, clientId: SUBSCRIPTION, clientSecret: 'no' } }],
    ['what it does not know', { regoin: 'x' }],
  ])('refuses %s', ([, over]) => {
    expect(ContainerInstancesConfig.safeParse({ ...CONFIG, ...over }).success).toBe(false);
  });
});

describe('what azure-container-instances does in the resource group', () => {
  /** What Azure asks a role for. */
  const ACTIONS: Readonly<Record<string, string>> = {
    get: 'Microsoft.ContainerInstance/containerGroups/read',
    list: 'Microsoft.ContainerInstance/containerGroups/read',
    createOrUpdate: 'Microsoft.ContainerInstance/containerGroups/write',
    delete: 'Microsoft.ContainerInstance/containerGroups/delete',
    stop: 'Microsoft.ContainerInstance/containerGroups/stop/action',
    logs: 'Microsoft.ContainerInstance/containerGroups/containers/logs/read',
    resourceGroup: 'Microsoft.Resources/subscriptions/resourceGroups/read',
  };

  test('is what the role of infra/bootstrap/azure.sh lets it do, and all of that', async () => {
    const { own, cloud, groupOf } = await openContainerInstances({
      programs: runs("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"),
      resourceGroupTags: { 'errand-installation': INSTALLATION },
    });
    const run = sh('true');
    const stopped = sh('true');
    await own.health();
    await own.prepare?.({ runner: new Map() });
    for (const one of [run, stopped]) {
      await own.start(one, recordedIo());
      await until(() => groupOf(one).main.log().includes('ready'));
    }
    groupOf(run).main.crash();
    await until(() => groupOf(run).isOver());
    expect(await own.observe(run)).toMatchObject({ kind: 'gone' });
    for (const one of await heldBy(own)) await own.cancel(one);
    expect(cloud.groups.size).toBe(0);
    const used = new Set([...cloud.requests.keys()].map((operation) => ACTIONS[operation] ?? operation));
    const script = readFileSync(new URL('../../infra/bootstrap/azure.sh', import.meta.url), 'utf8');
    const given = script.match(/"Microsoft\.[^"]+"/g)?.map((action) => action.slice(1, -1));
    expect([...used].toSorted()).toEqual(given?.toSorted());
  });
});
