import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { afterEach, describe, expect, test } from 'vitest';
import { prepareTargets } from '../../functions/workers/prepare-target.ts';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import type { Clock } from '../../shared/domain/clock.ts';
import { loadProvider } from '../../shared/providers/registry.ts';
import { configureTarget } from '../../shared/providers/targets.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { startContainerInstances } from '../support/clouds/azure-container-instances/container-instances-cloud.ts';
import { startCloudRunCloud } from '../support/clouds/cloud-run/cloud-run-cloud.ts';
import { type FrontHandler, standInFront } from '../support/clouds/front.ts';
import { aRun, recordedIo } from '../support/run-io.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const INSTALLATION = 'errand-test';
const RUNNER = new Map([
  ['runner.mjs', Buffer.from('entry')],
  ['chunks/a.mjs', Buffer.from([0, 255, 10])],
]);

/** A clock on which waits take no time, so that the patience of a minute does not take one. */
const hasty = (): Clock => {
  let passed = 0;
  return {
    now: () => systemClock.now() + passed,
    async sleep(milliseconds, signal) {
      // What bounds a call is a real wait, that is cut short.
      if (signal) return systemClock.sleep(milliseconds, signal);
      passed += milliseconds;
      await systemClock.sleep(20);
    },
    after: systemClock.after,
  };
};

interface Told {
  readonly Status: string;
  readonly Reason: string;
  readonly PhysicalResourceId: string;
}

const open = (config: Parameters<typeof configureTarget>[0], installation = INSTALLATION) =>
  configureTarget(config, loadProvider, () => ({
    clock: hasty(),
    random: systemRandom,
    log: silentLog,
    installation,
    runnerUrl: 'http://127.0.0.1:1',
  }));

/** Sends what CloudFormation sends, and waits for what it is told. */
const request = async (
  RequestType: 'Create' | 'Update' | 'Delete',
  targets: unknown,
  { remainingMs = 300_000, place = 'a-place', refusals = 0 } = {},
): Promise<Told> => {
  const told: Told[] = [];
  let refused = 0;
  const cloudFormation = await standInFront('http://127.0.0.1:1', ({ method, headers, body }) => {
    // Its address is signed for a body without a type.
    if (method !== 'PUT' || headers['content-type']) return { status: 403 };
    if (refused++ < refusals) return { status: 500 };
    told.push(JSON.parse(body.toString()));
    return { status: 200 };
  });
  closing.push(cloudFormation.close);
  const handler = prepareTargets({ clock: hasty(), log: silentLog, fetch, open, readRunner: () => RUNNER });
  const event = {
    RequestType,
    ResponseURL: `${cloudFormation.endpoint}/answer?Signature=s`,
    StackId: 'stack',
    RequestId: 'request',
    LogicalResourceId: 'TargetElsewhere',
    ResourceType: 'Custom::TargetElsewhere',
    ServiceToken: 'arn',
    ...(RequestType === 'Create' ? {} : { PhysicalResourceId: 'errand-test/earlier' }),
    ResourceProperties: {
      ServiceToken: 'arn',
      Installation: INSTALLATION,
      Place: place,
      Targets: typeof targets === 'string' ? targets : JSON.stringify(targets),
    },
  } as unknown as CloudFormationCustomResourceEvent;
  await handler(event, { getRemainingTimeInMillis: () => remainingMs });
  expect(told).toHaveLength(1);
  return told[0] as Told;
};

const SLEEPS = { programs: { '/errand/bin/runner': ['/bin/sleep', '1000'] }, graceMs: 100 };

const cloudRun = async ({ node = true } = {}) => {
  const cloud = await startCloudRunCloud({ folder: tempDirectory(), ...SLEEPS });
  closing.push(cloud.close);
  const stored: [string, Buffer][] = [];
  const storage: FrontHandler = ({ method, path, query, headers, body }) => {
    if (!path.includes('/storage/v1/')) return undefined;
    if (!headers.authorization?.startsWith('Bearer ')) return { status: 401 };
    if (method === 'GET' && path === '/storage/v1/b/a-runner/o/bin/node') return { status: node ? 200 : 404 };
    if (method !== 'POST' || path !== '/upload/storage/v1/b/a-runner/o') return { status: 404 };
    stored.push([query.get('name') ?? '', body]);
    return { status: 200 };
  };
  const { endpoint, close } = await standInFront(cloud.endpoint, storage);
  closing.push(close);
  const config = {
    project: 'a-project',
    region: 'europe-west1',
    image: 'base',
    serviceAccount: 'commands@a-project.iam.gserviceaccount.com',
    runnerBucket: 'a-runner',
    endpoint,
  };
  return { cloud, stored, target: { name: 'cloud-run', provider: 'cloud-run', config } as const };
};

const containerInstances = async (
  resourceGroupTags: Readonly<Record<string, string>> = { 'errand-installation': INSTALLATION },
) => {
  const options = { folder: tempDirectory(), resourceGroup: 'errand', resourceGroupTags, ...SLEEPS };
  const cloud = await startContainerInstances(options);
  closing.push(cloud.close);
  const { endpoint } = cloud;
  const subscriptionId = '00000000-0000-0000-0000-000000000000';
  const config = { subscriptionId, resourceGroup: 'errand', location: 'westeurope', image: 'base', endpoint };
  return { cloud, target: { name: 'aci', provider: 'azure-container-instances', config } as const };
};

describe('a target on Cloud Run', () => {
  test('is given the runner of this release, its entry last, and twice is the same as once', async () => {
    const { target, stored } = await cloudRun();
    const done = { Status: 'SUCCESS', PhysicalResourceId: 'errand-test/a-place' };
    expect(await request('Create', [target])).toMatchObject(done);
    const once = [
      ['bin/chunks/a.mjs', Buffer.from([0, 255, 10])],
      ['bin/runner.mjs', Buffer.from('entry')],
    ];
    expect(stored).toEqual(once);
    expect(await request('Update', [target])).toMatchObject(done);
    expect(stored).toEqual([...once, ...once]);
  });

  test('whose bucket was never prepared is not ready, and it is said what prepares it', async () => {
    const { target, stored } = await cloudRun({ node: false });
    const { Status, Reason } = await request('Create', [target]);
    expect(Status).toBe('FAILED');
    expect(Reason).toContain('The bucket a-runner holds no bin/node');
    expect(Reason).toContain('Run infra/bootstrap/gcp.sh, then deploy again.');
    expect(stored).toEqual([]);
  });

  test('that is not let in at first is asked again, as trust takes a while to be known', async () => {
    const { target, cloud } = await cloudRun();
    cloud.faults.next('ListJobs', { kind: 'status', status: 403, code: 'PERMISSION_DENIED' });
    expect(await request('Create', [target])).toMatchObject({ Status: 'SUCCESS' });
  });

  test('is left without a run and without a job of this installation, and with those of others', async () => {
    const { target, cloud } = await cloudRun();
    for (const [installation, tenant] of [
      [INSTALLATION, 'ours'],
      ['another', 'theirs'],
    ] as const) {
      const provider = await open(target, installation).load();
      const run = aRun(['/bin/true'], { tenant: tenant as never, timeoutSeconds: 100 });
      expect(await provider.start(run, recordedIo())).toMatchObject({ kind: 'accepted' });
    }
    expect(await request('Delete', [target])).toMatchObject({
      Status: 'SUCCESS',
      PhysicalResourceId: 'errand-test/earlier',
    });
    expect(cloud.executions.map((one) => one.isOver())).toEqual([true, false]);
    expect(cloud.requests.get('DeleteJob')).toBe(1);
    // Nothing is there any more to be deleted.
    expect(await request('Delete', [target])).toMatchObject({ Status: 'SUCCESS', Reason: 'Done.' });
    expect(cloud.requests.get('DeleteJob')).toBe(1);
  });
});

describe('a target on Container Instances', () => {
  test('whose resource group is given to this installation is ready', async () => {
    const { target } = await containerInstances();
    expect(await request('Create', [target])).toMatchObject({ Status: 'SUCCESS' });
  });

  test.for<[string, Readonly<Record<string, string>>, string]>([
    ['nobody', {}, 'it has no such tag'],
    ['somebody else', { 'errand-installation': 'other' }, 'it has errand-installation=other'],
  ])('whose resource group is given to %s is not', async ([, tags, words]) => {
    const { target } = await containerInstances(tags);
    const { Status, Reason } = await request('Create', [target]);
    expect(Status).toBe('FAILED');
    expect(Reason).toContain(words);
    expect(Reason).toContain('Run infra/bootstrap/azure.sh, then deploy again.');
  });

  test('is left without a group of this installation', async () => {
    const { target, cloud } = await containerInstances();
    const provider = await open(target).load();
    expect(await provider.start(aRun(['/bin/true'], { timeoutSeconds: 100 }), recordedIo())).toMatchObject({
      kind: 'accepted',
    });
    expect(cloud.groups.size).toBe(1);
    expect(await request('Delete', [target])).toMatchObject({ Status: 'SUCCESS', Reason: 'Done.' });
    expect(cloud.groups.size).toBe(0);
  });
});

describe('whatever happens, CloudFormation is answered', () => {
  const unreachable = {
    name: 'gone',
    provider: 'cloud-run',
    config: {
      project: 'a-project',
      region: 'europe-west1',
      image: 'base',
      serviceAccount: 'commands@a-project.iam.gserviceaccount.com',
      endpoint: 'http://127.0.0.1:1',
    },
  };

  test('a place that cannot be reached fails a creation, by the target’s name', async () => {
    const { Status, Reason } = await request('Create', [unreachable]);
    expect(Status).toBe('FAILED');
    expect(Reason).toContain('The target gone is not ready. Cloud Run cannot be reached');
  });

  test('and never a deletion, which says what may be left', async () => {
    const { Status, Reason } = await request('Delete', [unreachable]);
    expect(Status).toBe('SUCCESS');
    expect(Reason).toContain('Of the target gone something may be left');
  });

  test.for<['Create' | 'Delete', string]>([
    ['Create', 'FAILED'],
    ['Delete', 'SUCCESS'],
  ])('%s of targets that this release cannot read', async ([type, status]) => {
    for (const targets of ['{', JSON.stringify([{ name: 'x', provider: 'moon', config: {} }])]) {
      const { Status, Reason } = await request(type, targets);
      expect(Status).toBe(status);
      expect(Reason).toContain('cannot be read');
    }
  });

  test.for<['Create' | 'Delete', string]>([
    ['Create', 'FAILED'],
    ['Delete', 'SUCCESS'],
  ])('%s at a place that never answers, before the function’s time is over', async ([type, status]) => {
    const { target, cloud } = await cloudRun();
    for (let calls = 0; calls < 20; calls++) {
      cloud.faults.next('ListJobs', { kind: 'hang' });
      cloud.faults.next('ListExecutions', { kind: 'hang' });
    }
    const began = Date.now();
    const { Status, Reason } = await request(type, [target], { remainingMs: 21_000 });
    expect(Status).toBe(status);
    expect(Reason).toContain('It took longer than a function may');
    expect(Date.now() - began).toBeLessThan(10_000);
  });

  test('again, when it does not take the answer at first', async () => {
    const { target } = await containerInstances();
    expect(await request('Create', [target], { refusals: 2 })).toMatchObject({ Status: 'SUCCESS' });
  });
});
