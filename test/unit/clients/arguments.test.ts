import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import {
  type CommandOptions,
  collectCause,
  parseAmount,
  parseMebibytes,
  toSubmission,
  toWholeSubmission,
  UsageError,
} from '../../../clients/cli/arguments.ts';
import { SubmitCommand } from '../../../shared/contract/schemas.ts';

const typed = (text = '') => ({ stdin: Readable.from([Buffer.from(text)]) as unknown as NodeJS.ReadStream });

describe('amounts', () => {
  test.for<[string, number | undefined]>([
    ['512', 512],
    ['512M', 512],
    ['512MiB', 512],
    ['2G', 2_048],
    ['2gb', 2_048],
    ['0', undefined],
    ['-1', undefined],
    ['1.5G', undefined],
    ['lots', undefined],
    ['', undefined],
  ])('memory of %s', ([text, mebibytes]) => {
    if (mebibytes === undefined) expect(() => parseMebibytes(text)).toThrow('such as 512, 512M or 2G');
    else expect(parseMebibytes(text)).toBe(mebibytes);
  });

  test.for<[string, number | undefined]>([
    ['0.5', 0.5],
    ['2', 2],
    ['0', undefined],
    ['.5', undefined],
    ['1e3', undefined],
    ['many', undefined],
  ])('%s processors', ([text, count]) => {
    if (count === undefined) expect(() => parseAmount(text)).toThrow('such as 0.5 or 2');
    else expect(parseAmount(text)).toBe(count);
  });
});

describe('the request', () => {
  test('has what was said and nothing else', async () => {
    expect(await toSubmission([], {}, typed())).toEqual({});
    const options: CommandOptions = {
      on: 'local',
      image: 'alpine',
      cpu: 0.5,
      memory: 2_048,
      env: { A: '1' },
      cwd: '/tmp',
      timeout: 60,
      queueTtl: 30,
      label: { team: 'a' },
      priority: 'high',
      isolation: 'none',
      retry: 3,
      retryOn: ['lost'],
    };
    const submission = await toWholeSubmission(['echo', 'hi'], options, typed());
    expect(submission).toEqual({
      argv: ['echo', 'hi'],
      target: 'local',
      image: 'alpine',
      cpu: 0.5,
      memoryMiB: 2_048,
      env: { A: '1' },
      cwd: '/tmp',
      timeoutSeconds: 60,
      queueTtlSeconds: 30,
      labels: { team: 'a' },
      priority: 'high',
      isolation: 'none',
      retry: { maxAttempts: 3, on: ['lost'] },
    });
    expect(SubmitCommand.parse(submission)).toEqual(submission);
  });

  test('retries every cause unless told which', async () => {
    expect(await toSubmission(['x'], { retry: 2 }, typed())).toMatchObject({
      retry: { maxAttempts: 2, on: ['lost', 'provider-error', 'nonzero-exit'] },
    });
  });

  test('takes a script from stdin', async () => {
    expect(await toWholeSubmission([], { script: '-' }, typed('echo hé'))).toEqual({ script: 'echo hé' });
  });

  test.for<[string, string[], CommandOptions, RegExp]>([
    ['nothing to run', [], {}, /after --/],
    ['two things to run', ['x'], { script: 'y' }, /or a --script/],
    ['causes of a retry alone', ['x'], { retryOn: ['lost'] }, /--retry 3/],
  ])('with %s is refused with a hint', async ([, argv, options, words]) => {
    const refused = toWholeSubmission(argv, options, typed());
    await expect(refused).rejects.toThrow(UsageError);
    await expect(refused).rejects.toThrow(words);
  });

  test('a script that cannot be read is named', async () => {
    await expect(toSubmission([], { script: '/no/such' }, typed())).rejects.toThrow(
      /\/no\/such cannot be read: no such/,
    );
    await expect(toSubmission([], { script: '/' }, typed())).rejects.toThrow(/\/ cannot be read: EISDIR/);
  });
});

test('causes of a retry are collected, and others refused by name', () => {
  expect(collectCause('lost', collectCause('nonzero-exit'))).toEqual(['nonzero-exit', 'lost']);
  expect(() => collectCause('all')).toThrow(/lost, provider-error, nonzero-exit/);
});
