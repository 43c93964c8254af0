import { describe, expect, test } from 'vitest';
import { LambdaMicrovmConfig, lambdaMicrovmFeatures } from '../../shared/providers/lambda-microvm/config.ts';

const IMAGE = 'arn:aws:lambda:eu-west-1:123456789012:microvm-image:errand';
const CONFIG = { region: 'eu-west-1', image: IMAGE };
const ROLE = 'arn:aws:iam::123456789012:role/commands';

describe('the configuration of a lambda-microvm target', () => {
  test.for<[string, object]>([
    ['the least', {}],
    ['a version', { imageVersion: '2.0' }],
    ['other images by name', { images: { large: { image: `${IMAGE}-large`, imageVersion: '3' } } }],
    ['a way out', { egressConnector: 'arn:aws:lambda:eu-west-1:123456789012:network-connector:vpc:2' }],
    ['a role and a log', { executionRole: ROLE, logGroup: '/errand/microvms' }],
    ['a trial on this machine', { endpoint: 'http://127.0.0.1:8080' }],
  ])('taken: %s', ([, over]) => {
    expect(LambdaMicrovmConfig.parse({ ...CONFIG, ...over })).toEqual({ ...CONFIG, ...over });
  });

  test.for<[string, object, string]>([
    ['no region', { region: undefined }, 'region'],
    ['no image', { image: undefined }, 'image'],
    ['the bare name of an image', { image: 'errand' }, 'image'],
    ['an image of Lambda’s own, which has no keeper', { image: IMAGE.replace('123456789012', 'aws') }, 'image'],
    ['an image with a version in it', { image: `${IMAGE}:1.0` }, 'image'],
    ['an image elsewhere', { image: IMAGE.replace('eu-west-1', 'us-east-1') }, 'image'],
    ['a named image elsewhere', { images: { a: { image: IMAGE.replace('west', 'north') } } }, 'images.a.image'],
    ['no named image', { images: {} }, 'images'],
    ['a version that is none', { imageVersion: 'latest' }, 'imageVersion'],
    ['a connector that is none', { egressConnector: 'internet' }, 'egressConnector'],
    ['a role that is none', { executionRole: 'commands' }, 'executionRole'],
    ['a log that nobody may write', { logGroup: '/errand' }, 'logGroup'],
    ['an endpoint elsewhere', { endpoint: 'http://example.com' }, 'endpoint'],
    ['a key', { accessKeyId: 'a' }, ''],
  ])('refused: %s', ([, over, path]) => {
    const { error } = LambdaMicrovmConfig.safeParse({ ...CONFIG, ...over });
    expect(error?.issues.map((issue) => issue.path.join('.'))).toEqual([path]);
  });

  test('what it offers', () => {
    expect(lambdaMicrovmFeatures(LambdaMicrovmConfig.parse(CONFIG))).toMatchObject({
      mode: 'detached',
      runner: 'remote',
      isolation: ['microvm'],
      leavesBehind: true,
      customImage: false,
      resourceLimits: false,
      longestTimeoutSeconds: 28_500,
    });
  });
});
