import { describe, expect, test } from 'vitest';
import { configureTarget, parseTargets } from '../../../shared/providers/targets.ts';

const lambda = (name: string) => ({ name, provider: 'lambda', config: { functionName: 'f', region: 'eu-central-1' } });
const file = (...pools: object[]) =>
  JSON.stringify({ targets: [lambda('a'), { ...lambda('b'), pricePerHour: 0.5 }], pools });
const faultsOf = (text: string): string => {
  try {
    parseTargets(text, ['local']);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
};

describe('pools of targets.json', () => {
  test('are of targets that are configured, and of those that are there anyway', () => {
    const weights = { a: 3, local: 1 };
    const { pools } = parseTargets(
      file({ name: 'eu', targets: ['a', 'local'], by: 'weight', weights }, { name: 'all', targets: ['b', 'a'] }),
      ['local'],
    );
    expect(pools).toEqual([
      { name: 'eu', targets: ['a', 'local'], by: 'weight', weights },
      { name: 'all', targets: ['b', 'a'], by: 'order' },
    ]);
  });

  test.for<[string, string, string]>([
    ['no target', file({ name: 'eu', targets: [] }), '/pools/0/targets'],
    ['a target that there is not', file({ name: 'eu', targets: ['a', 'mars'] }), '/pools/0/targets/1: no target mars'],
    ['a target twice', file({ name: 'eu', targets: ['a', 'a'] }), '/pools/0/targets: names a target twice'],
    ['the name of a target', file({ name: 'a', targets: ['b'] }), '/pools/0/name: a is the name of a target'],
    ['the name of this machine', file({ name: 'local', targets: ['b'] }), '/pools/0/name: local is the name'],
    [
      'a name twice',
      file({ name: 'eu', targets: ['a'] }, { name: 'eu', targets: ['b'] }),
      '/pools/1/name: two pools are named eu',
    ],
    ['a name that is none', file({ name: 'E U', targets: ['a'] }), '/pools/0/name: must be a lower-case name'],
    ['an unknown rule', file({ name: 'eu', targets: ['a'], by: 'luck' }), '/pools/0/by'],
    [
      'weights without their rule',
      file({ name: 'eu', targets: ['a'], weights: { a: 1 } }),
      '/pools/0/weights: go with',
    ],
    [
      'a weight of another target',
      file({ name: 'eu', targets: ['a'], by: 'weight', weights: { a: 1, b: 1 } }),
      '/pools/0/weights/b: b is not a target of this pool',
    ],
    [
      'nothing but weights of 0',
      file({ name: 'eu', targets: ['a'], by: 'weight', weights: { a: 0 } }),
      '/pools/0/weights: must not all be 0',
    ],
    ['a negative weight', file({ name: 'eu', targets: ['a'], by: 'weight', weights: { a: -1 } }), '/pools/0/weights/a'],
    [
      'a negative price',
      JSON.stringify({ targets: [{ ...lambda('a'), pricePerHour: -1 }] }),
      '/targets/0/pricePerHour',
    ],
  ])('are refused with a pointer for %s', ([, text, pointer]) => {
    expect(faultsOf(text)).toContain(pointer);
  });

  test('go by the price that is configured, or else by what is known of the provider', () => {
    const { targets } = parseTargets(file());
    const prices = targets.map((config) => {
      const target = configureTarget(
        config,
        () => Promise.reject(new Error('not loaded')),
        () => {
          throw new Error('not asked for');
        },
      );
      return target.pricePerHour;
    });
    expect(prices).toEqual([0.024, 0.5]);
  });
});
