import { describe, expect, test } from 'vitest';
import { listTargets } from '../../../shared/app/list-targets.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import type { SubmitCommand } from '../../../shared/contract/schemas.ts';
import type { ProviderFeatures } from '../../../shared/providers/provider.ts';
import { owner, testWorker } from '../../support/deps.ts';
import { scriptedProvider } from '../../support/scripted-provider.ts';

const submitTo = async (features: Partial<ProviderFeatures>, over: Partial<SubmitCommand>) => {
  const deps = await testWorker({ provider: scriptedProvider(features), work: false });
  return submitCommand(deps, owner, { body: { argv: ['true'], ...over } });
};

const ALL = { resourceLimits: true, isolation: ['none', 'sandbox'] } as const;
const WATCHED = {
  resourceLimits: false,
  resourceLimitsAt: ['sandbox'],
  isolation: ['none', 'process', 'sandbox'],
} as const;
const NO_LIMITS = { resourceLimits: false, isolation: ['none', 'sandbox'] } as const;

describe('limits of memory and processor', () => {
  test.for<[string, Partial<ProviderFeatures>, Partial<SubmitCommand>, 'taken' | RegExp]>([
    ['at every level', ALL, { memoryMiB: 64 }, 'taken'],
    ['only where it can', WATCHED, { memoryMiB: 64, isolation: 'sandbox' }, 'taken'],
    ['only where it can', WATCHED, { cpu: 1, isolation: 'container' }, 'taken'],
    ['only where it can', WATCHED, { memoryMiB: 64 }, /cannot limit the memory but at isolation sandbox/],
    [
      'only where it can',
      WATCHED,
      { cpu: 1, isolation: 'process' },
      /cannot limit the processor but at isolation sandbox/,
    ],
    ['nowhere', NO_LIMITS, { cpu: 1, isolation: 'sandbox' }, /cannot limit the processor\. See/],
    ['nowhere', NO_LIMITS, { isolation: 'sandbox' }, 'taken'],
  ])('a target that limits %s, asked for %j', async ([, features, over, expected]) => {
    const submitted = submitTo(features, over);
    if (expected === 'taken') return expect((await submitted).command.spec).toMatchObject({ argv: ['true'] });
    return expect(submitted).rejects.toMatchObject({
      code: 'unsupported-by-target',
      message: expect.stringMatching(expected),
    });
  });
});

describe('a level that a target does not have', () => {
  test('is refused with the reason that the target gives for it, and no other', async () => {
    const features = {
      isolation: ['none', 'process'],
      isolationLacking: { sandbox: 'no-proc: mounting /proc: Operation not permitted. Do this.' },
    } as const;
    await expect(submitTo(features, { isolation: 'sandbox' })).rejects.toMatchObject({
      code: 'isolation-unavailable',
      message:
        'The target local offers isolation none, process, not sandbox. no-proc: mounting /proc: Operation not permitted. Do this.',
    });
    await expect(submitTo(features, { isolation: 'microvm' })).rejects.toMatchObject({
      message: 'The target local offers isolation none, process, not microvm.',
    });
  });

  test('is shown with the reason', async () => {
    const isolationLacking = { sandbox: 'no-proc: …' };
    const deps = await testWorker({ provider: scriptedProvider({ isolationLacking, ...WATCHED }), work: false });
    const { items } = await listTargets(deps, owner);
    expect(items).toMatchObject([{ features: { isolationLacking, resourceLimitsAt: ['sandbox'] } }]);
  });
});

describe('a terminal', () => {
  const terminal = { rows: 24, columns: 80 };
  const SOME = { isolation: ['none', 'process', 'sandbox'], terminals: ['none', 'process'] } as const;
  const LACKING = { isolation: ['none'], terminalsLacking: 'It needs this. Do that.' } as const;
  test.for<[string, Partial<ProviderFeatures>, Partial<SubmitCommand>, 'taken' | string]>([
    ['where it is given', SOME, {}, 'taken'],
    ['at a level where it is given', SOME, { isolation: 'process' }, 'taken'],
    ['at a level where it is not', SOME, { isolation: 'sandbox' }, ' at isolation sandbox, only at none, process. See'],
    ['at none', { isolation: ['none'] }, {}, 'cannot give a command a terminal. See GET /v1/providers'],
    ['at none that could be', LACKING, {}, 'a terminal. It needs this. Do that. See GET /v1/providers'],
  ])('is taken %s, or refused with the reason: %j', async ([, features, over, expected]) => {
    const submitted = submitTo(features, { terminal, ...over });
    if (expected === 'taken') {
      return expect((await submitted).command.spec).toMatchObject({ terminal, stdin: { kind: 'open' } });
    }
    return expect(submitted).rejects.toMatchObject({
      code: 'unsupported-by-target',
      message: expect.stringContaining(expected),
      faults: [{ pointer: '/terminal' }],
    });
  });
});
