import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { LambdaConfig, lambdaFeatures } from '../../shared/providers/lambda/config.ts';
import type { StartOutcome } from '../../shared/providers/provider.ts';
import type { FunctionSpec } from '../support/clouds/lambda/environment.ts';
import type { CloudFault } from '../support/clouds/lambda/faults.ts';
import { openLambda } from '../support/clouds/lambda/open-lambda.ts';
import { fasterClock } from '../support/faster-clock.ts';
import { aRun, openInput, recordedIo } from '../support/run-io.ts';

const START = 'InvokeWithResponseStream';
const ROOT = fileURLToPath(new URL('../support/clouds/lambda/functions-under-test', import.meta.url));
const other = (name: string, over: Partial<FunctionSpec> = {}): FunctionSpec => ({
  root: ROOT,
  handler: `samples.${name}`,
  timeoutSeconds: 30,
  tenantIsolation: true,
  ...over,
});
const detailOf = (outcome: StartOutcome): string =>
  outcome.kind === 'rejected' ? outcome.fault.detail : 'detail' in outcome ? outcome.detail : '';

/** Bytes of `heartbeat` and of `started` on the stream. */
const RECORD = 5;

describe('the lambda provider', () => {
  test('tells Lambda nothing of the command but where its runner finds it', async () => {
    const { provider, cloud } = await openLambda();
    const stdin = openInput();
    stdin.write('secret-input');
    stdin.end();
    const io = recordedIo({ stdin });
    await provider.start(aRun(['/bin/sh', '-c', 'cat; echo "$S secret-argument"'], { env: { S: 'secret-value' } }), io);
    expect(io.text('stdout')).toBe('secret-inputsecret-value secret-argument\n');
    expect(cloud.payloads.map((payload) => JSON.parse(payload) as object)).toEqual([
      { v: 1, url: expect.stringMatching(/^http:/), token: expect.stringMatching(/^default\.cmd_/) },
    ]);
    expect(cloud.payloads.join()).not.toContain('secret');
  });

  test('tells when the executor redeemed the ticket, once, before the first output', async () => {
    const { provider } = await openLambda();
    const seen: number[] = [];
    const io = recordedIo({ onOutput: async () => void seen.push(io.redeemed()) });
    await provider.start(aRun(['/bin/echo', 'hello']), io);
    // By the runner over HTTP, and by the provider when it read of it.
    expect([...seen, io.redeemed()]).toEqual([2, 2]);
  });

  test('is whole when Lambda cuts its stream into the smallest chunks', async () => {
    const { provider } = await openLambda({ chunkBytes: 3 });
    const io = recordedIo();
    const outcome = await provider.start(aRun(['/bin/sh', '-c', 'seq 2000; exit 5']), io);
    expect(outcome).toMatchObject({ kind: 'ended', exit: { exitCode: 5 } });
    expect(io.text('stdout').split('\n').length).toBe(2_001);
  });

  test('a taker that is slow holds the command up', async () => {
    const { provider, cloud } = await openLambda();
    const { promise: reading, resolve: readOn } = Promise.withResolvers<void>();
    let length = 0;
    const io = recordedIo({
      onOutput: async (_, bytes) => {
        length += bytes.length;
        await reading;
      },
    });
    const running = provider.start(aRun(['/usr/bin/head', '-c', '100000000', '/dev/zero']), io);
    // What is on its way through the buffers of two connections, and then no more.
    let before = -1;
    await expect
      .poll(
        () => {
          const stands = cloud.sentBytes() > 0 && cloud.sentBytes() === before;
          before = cloud.sentBytes();
          return stands;
        },
        { interval: 500, timeout: 20_000 },
      )
      .toBe(true);
    expect(cloud.sentBytes()).toBeLessThan(40_000_000);
    readOn();
    expect(await running).toMatchObject({ kind: 'ended', exit: { exitCode: 0 } });
    expect(length).toBe(100_000_000);
  });

  test('output that cannot be taken any more ends the reading, and leaves the rest to the executor', async () => {
    const { provider } = await openLambda();
    const io = recordedIo({ onOutput: () => Promise.reject(new Error('the store is full')) });
    expect(await provider.start(aRun(['/bin/echo', 'hello']), io)).toMatchObject({ kind: 'unheard' });
  });

  const throttle = (reason: string): CloudFault => ({
    kind: 'error',
    type: 'TooManyRequestsException',
    reason,
    retryAfterSeconds: 7,
  });
  const error = (type: string): CloudFault => ({ kind: 'error', type });
  test.for<[string, CloudFault, object, RegExp]>([
    [
      'all that the account may run',
      throttle('ConcurrentInvocationLimitExceeded'),
      { fault: { retryable: true, retryAfterSeconds: 7 } },
      /the account runs as many/,
    ],
    [
      'its reserved concurrency',
      throttle('ReservedFunctionConcurrentInvocationLimitExceeded'),
      { fault: { retryable: true, retryAfterSeconds: 7 } },
      /reserved concurrency/,
    ],
    [
      'too fast a caller',
      throttle('CallerRateLimitExceeded'),
      { fault: { retryable: true, retryAfterSeconds: 7 } },
      /asks too often/,
    ],
    ['a network that is not ready', error('ENINotReadyException'), { fault: { retryable: true } }, /network/],
    ['a function being changed', error('ResourceConflictException'), { fault: { retryable: true } }, /changed/],
    ['a function that is not ready', error('ResourceNotReadyException'), { fault: { retryable: true } }, /not ready/],
    [
      'a refused parameter',
      error('InvalidParameterValueException'),
      { fault: { retryable: false } },
      /tenantIsolation/,
    ],
    [
      'a function that is not there',
      error('ResourceNotFoundException'),
      { fault: { retryable: false } },
      /functionName/,
    ],
    [
      'a caller without the right',
      error('AccessDeniedException'),
      { fault: { retryable: false } },
      /lambda:InvokeFunction/,
    ],
    ['a request that is too large', error('RequestTooLargeException'), { fault: { retryable: false } }, /too large/],
    ['a key that may not be used', error('KMSAccessDeniedException'), { fault: { retryable: false } }, /KMS/],
    ['a failure of Lambda itself', error('ServiceException'), { kind: 'unheard' }, /not known/],
    ['a reset before the answer', { kind: 'reset' }, { kind: 'unheard' }, /not known/],
    ['an answer that was lost', { kind: 'answer-lost' }, { kind: 'unheard' }, /not known/],
    ['a stream cut before the start', { kind: 'cut', afterBytes: RECORD }, { kind: 'unheard' }, /broke/],
    ['a stream cut after the start', { kind: 'cut', afterBytes: 2 * RECORD }, { kind: 'unheard' }, /broke/],
    [
      'a stream cut in the middle of its end',
      { kind: 'cut', afterBytes: 2 * RECORD + 20 },
      { kind: 'unheard' },
      /broke/,
    ],
  ])('pitfalls 1 and 8: after %s a start was one request, and never a success', async ([, fault, expected, words]) => {
    const { provider, cloud } = await openLambda();
    cloud.faults.next(START, fault);
    const outcome = await provider.start(aRun(['/bin/true']), recordedIo());
    expect(outcome).toMatchObject(expected);
    expect(detailOf(outcome)).toMatch(words);
    expect(cloud.requests.get(START)).toBe(1);
    await cloud.quiet();
  });

  test.for<[string, CloudFault, RegExp]>([
    ['Lambda never answers', { kind: 'hang' }, /not known/],
    ['the stream falls silent', { kind: 'silence', afterBytes: 2 * RECORD }, /broke/],
  ])('when %s, it does not wait for ever', async ([, fault, words]) => {
    const { provider, cloud } = await openLambda({ clock: fasterClock(60) });
    cloud.faults.next(START, fault);
    const outcome = await provider.start(aRun(['/bin/true']), recordedIo());
    expect(outcome).toMatchObject({ kind: 'unheard', detail: expect.stringMatching(words) });
    await expect.poll(() => cloud.connections()).toBe(0);
  });

  test.for<[string, FunctionSpec, object, RegExp]>([
    ['is another one', other('look'), { fault: { retryable: false } }, /functionName/],
    ['streams something else', other('slowStream'), { fault: { retryable: false } }, /functionName/],
    ['says nothing', other('nothing'), { fault: { retryable: false } }, /functionName/],
    ['cannot be loaded', other('nobody'), { fault: { retryable: false } }, /Deploy/],
    ['fails before it speaks', other('fail'), { kind: 'unheard' }, /TypeError/],
    ['ends its process', other('exit'), { kind: 'unheard' }, /process ended/],
    ['meets its time-out before the start', other('stay', { timeoutSeconds: 1 }), { kind: 'unheard' }, /own time-out/],
    [
      'meets its time-out after the start',
      other('startAndStay', { timeoutSeconds: 1 }),
      { kind: 'lost' },
      /own time-out/,
    ],
    ['breaks off in its last word', other('breakOff'), { kind: 'lost' }, /before its last word/],
  ])('pitfall 8: a function that %s is no success', async ([, executor, expected, words]) => {
    const { provider } = await openLambda({ functions: { executor } });
    const outcome = await provider.start(aRun(['/bin/true']), recordedIo());
    expect(outcome).toMatchObject(expected);
    expect(detailOf(outcome)).toMatch(words);
  });

  test('a target that cannot be reached is tried again later', async () => {
    const { provider } = await openLambda({ config: { endpoint: 'http://127.0.0.1:9' } });
    const outcome = await provider.start(aRun(['/bin/true']), recordedIo());
    expect(outcome).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
  });

  test('a command with a longer time-out than the function has is refused', async () => {
    const { provider, cloud } = await openLambda({ config: { functionTimeoutSeconds: 120 } });
    const outcome = await provider.start(aRun(['/bin/true'], { timeoutSeconds: 91 }), recordedIo());
    expect(outcome).toMatchObject({ kind: 'rejected', fault: { retryable: false } });
    expect(cloud.requests.size).toBe(0);
  });

  test.for<[object, RegExp | undefined]>([
    [{}, /^errand-test\/default$/],
    [{ freshEnvironment: 'command' }, /^errand-test\/default\/cmd_[0-9a-z]{26}-1$/],
    [{ tenantIsolation: false }, undefined],
  ])('with %o the tenant id is %s', async ([config, tenantId]) => {
    const tenantIsolation = !('tenantIsolation' in config);
    const { provider, cloud } = await openLambda({ config, executor: { tenantIsolation } });
    expect(await provider.start(aRun(['/bin/true']), recordedIo())).toMatchObject({ exit: { exitCode: 0 } });
    expect(cloud.tenantIds).toEqual([tenantId ? expect.stringMatching(tenantId) : undefined]);
  });

  test('with a fresh environment for each command none is used twice', async () => {
    const { provider, cloud } = await openLambda({ config: { freshEnvironment: 'command' } });
    for (let n = 0; n < 2; n++) await provider.start(aRun(['/bin/true']), recordedIo());
    expect(cloud.environments.length).toBe(2);
  });

  test.for<[string, object, RegExp]>([
    ['is not there', { functionName: 'nobody' }, /does not exist/],
    ['may not be invoked', { functionName: 'denied' }, /lambda:InvokeFunction/],
    ['has another tenancy', { tenantIsolation: false }, /tenantIsolation/],
    ['is out of reach', { endpoint: 'http://127.0.0.1:9' }, /cannot be reached/],
  ])('is not healthy when its function %s, and says what to do', async ([, config, words]) => {
    const functions = { denied: other('look', { denied: true }) };
    const { own, cloud } = await openLambda({ config, functions });
    expect(await own.health()).toEqual({ healthy: false, detail: expect.stringMatching(words) });
    expect(cloud.environments).toEqual([]);
  });

  test('a check of its health invokes nothing', async () => {
    const { own, cloud } = await openLambda();
    expect(await own.health()).toEqual({ healthy: true });
    expect(cloud.environments).toEqual([]);
  });

  test('pitfall 12: closing lets the connection go, and the executor ends when the record says so', async () => {
    const { provider, own, cloud } = await openLambda();
    const io = recordedIo();
    const running = provider.start(aRun(['/bin/sh', '-c', 'echo ready; sleep 1000']), io);
    await io.seen('stdout', 'ready');
    await own.close();
    expect(await running).toMatchObject({ kind: 'unheard' });
    expect(cloud.environments[0]?.pids().length).toBeGreaterThan(2);
    io.stopNow();
    await cloud.quiet();
    expect(await cloud.environments[0]?.settled()).toBe(true);
  });
});

describe('the configuration of a lambda target', () => {
  const good = { functionName: 'executor', region: 'eu-central-1' };
  test.for<[string, object]>([
    ['a name', good],
    ['an ARN', { ...good, functionName: 'arn:aws:lambda:eu-central-1:123456789012:function:executor' }],
    ['an alias', { ...good, qualifier: 'live' }],
    ['a trial on this machine', { ...good, endpoint: 'http://127.0.0.1:4566' }],
    ['a trial on this machine, by IPv6', { ...good, endpoint: 'http://[::1]:4566' }],
  ])('taken: %s', ([, config]) => {
    expect(LambdaConfig.parse(config)).toEqual({
      tenantIsolation: true,
      freshEnvironment: 'tenant',
      functionTimeoutSeconds: 900,
      ...config,
    });
  });

  test.for<[string, object, string]>([
    ['no function', { region: 'eu-central-1' }, 'functionName'],
    ['a version in the name', { ...good, functionName: 'executor:3' }, 'functionName'],
    ['a path as a name', { ...good, functionName: '../executor' }, 'functionName'],
    ['no region', { functionName: 'executor' }, 'region'],
    ['an endpoint elsewhere', { ...good, endpoint: 'http://example.com' }, 'endpoint'],
    ['an endpoint that looks like this machine', { ...good, endpoint: 'http://127.0.0.1.example.com' }, 'endpoint'],
    ['a key', { ...good, accessKeyId: 'AKIA' }, ''],
    ['a time-out that Lambda does not have', { ...good, functionTimeoutSeconds: 901 }, 'functionTimeoutSeconds'],
    [
      'fresh environments without tenancy',
      { ...good, freshEnvironment: 'command', tenantIsolation: false },
      'freshEnvironment',
    ],
  ])('refused: %s', ([, config, path]) => {
    const issues = LambdaConfig.safeParse(config).error?.issues.map((issue) => issue.path.join('.'));
    expect(issues).toEqual([path]);
  });

  test.for<[object, object]>([
    [{}, { isolation: ['process'], longestTimeoutSeconds: 840 }],
    [{ freshEnvironment: 'command' }, { isolation: ['microvm'] }],
    [{ tenantIsolation: false }, { isolation: ['none'] }],
    [{ functionTimeoutSeconds: 300 }, { longestTimeoutSeconds: 270 }],
  ])('%o offers %o', ([config, features]) => {
    expect(lambdaFeatures(LambdaConfig.parse({ ...good, ...config }))).toMatchObject(features);
  });
});
