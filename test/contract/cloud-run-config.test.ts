import { describe, expect, test } from 'vitest';
import { CloudRunConfig, cloudRunFeatures } from '../../shared/providers/cloud-run/config.ts';
import { CONFIG } from '../support/clouds/cloud-run/open-cloud-run.ts';

describe('the configuration of a cloud-run target', () => {
  const defaults = { cpu: 1, memoryMiB: 512 };
  const audience = '//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/aws';
  test.for<[string, object]>([
    ['the least', {}],
    ['a trial on this machine', { endpoint: 'http://127.0.0.1:8080' }],
    ['a larger machine', { cpu: 8, memoryMiB: 32_768 }],
    ['the runner from a bucket', { runnerBucket: 'my-bucket' }],
    [
      'a sign-in from AWS',
      { workloadIdentity: { audience, serviceAccountEmail: 'a@p-12345.iam.gserviceaccount.com' } },
    ],
    ['a network', { vpc: { subnetwork: 'inner', egress: 'all-traffic' } }],
  ])('taken: %s', ([, over]) => {
    expect(CloudRunConfig.parse({ ...CONFIG, ...over })).toEqual({ ...CONFIG, ...defaults, ...over });
  });

  test.for<[string, object, string]>([
    ['no project', { project: undefined }, 'project'],
    ['a path as a project', { project: '../other' }, 'project'],
    ['a zone for a region', { region: 'europe-west1-b' }, 'region'],
    ['no image', { image: undefined }, 'image'],
    ['no service account: it would be the project’s own', { serviceAccount: undefined }, 'serviceAccount'],
    ['half a processor', { cpu: 0.5 }, 'cpu'],
    ['too little memory for its processors', { cpu: 8, memoryMiB: 512 }, 'memoryMiB'],
    [
      'an audience that is another’s',
      { workloadIdentity: { audience: 'https://example.com' } },
      'workloadIdentity.audience',
    ],
    ['a network without a name', { vpc: {} }, 'vpc'],
    ['an endpoint elsewhere', { endpoint: 'http://example.com' }, 'endpoint'],
    ['an endpoint that looks like this machine', { endpoint: 'http://127.0.0.1.example.com' }, 'endpoint'],
    ['a key', { credentials: '{}' }, ''],
  ])('refused: %s', ([, over, path]) => {
    const issues = CloudRunConfig.safeParse({ ...CONFIG, ...over }).error?.issues.map((issue) => issue.path.join('.'));
    expect(issues).toEqual([path]);
  });

  test('what it offers', () => {
    expect(cloudRunFeatures(CloudRunConfig.parse(CONFIG))).toMatchObject({
      mode: 'detached',
      isolation: ['microvm'],
      longestTimeoutSeconds: 604_500,
    });
  });
});
