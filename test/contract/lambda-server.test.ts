import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  InvokeCommand,
  type InvokeCommandInput,
  InvokeWithResponseStreamCommand,
  LambdaClient,
  type LambdaClientConfig,
} from '@aws-sdk/client-lambda';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CANARIES } from '../support/canaries/values.ts';
import type { FunctionSpec } from '../support/clouds/lambda/environment.ts';
import { hasOwnMachines } from '../support/clouds/lambda/environment-process.ts';
import { type LambdaCloud, REGION, startLambdaCloud } from '../support/clouds/lambda/lambda-cloud.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const ROOT = fileURLToPath(new URL('../support/clouds/lambda/functions-under-test', import.meta.url));
const sample = (name: string, over: Partial<FunctionSpec> = {}): FunctionSpec => ({
  root: ROOT,
  handler: `samples.${name}`,
  timeoutSeconds: 30,
  ...over,
});

const open = async (functions: Record<string, FunctionSpec>, over: { concurrency?: number } = {}) => {
  const cloud = await startLambdaCloud({ functions, folder: tempDirectory(), ...over });
  onTestFinished(() => cloud.close());
  return cloud;
};

const clientOf = ({ endpoint }: LambdaCloud, over: LambdaClientConfig = {}): LambdaClient => {
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
  const client = new LambdaClient({ endpoint, region: REGION, credentials, maxAttempts: 1, ...over });
  onTestFinished(() => client.destroy());
  return client;
};

const invoke = async (cloud: LambdaCloud, input: InvokeCommandInput) => {
  const { Payload, $metadata: _, ...answer } = await clientOf(cloud).send(new InvokeCommand(input));
  const text = Payload ? Buffer.from(Payload).toString() : '';
  return { ...answer, result: text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>) };
};

const streamed = async (cloud: LambdaCloud, input: InvokeCommandInput & { InvocationType?: undefined }) => {
  const { EventStream } = await clientOf(cloud).send(new InvokeWithResponseStreamCommand(input));
  let text = '';
  let complete: object | undefined;
  for await (const event of EventStream ?? []) {
    text += Buffer.from(event.PayloadChunk?.Payload ?? []).toString();
    complete = event.InvokeComplete ?? complete;
  }
  return { text, complete };
};

const examples = JSON.parse(
  readFileSync(new URL('../support/clouds/lambda/fixtures/examples-invoke.json', import.meta.url), 'utf8'),
) as { Invoke: { title: string; input: InvokeCommandInput; output: { StatusCode: number } }[] };

describe('the local Lambda, by the real SDK', () => {
  test.for(examples.Invoke.map((one) => [one.title, one] as const))('official example: %s', async ([, example]) => {
    const cloud = await open({ 'my-function': sample('look') });
    const { Payload } = example.input;
    const answer = await invoke(cloud, { ...example.input, Payload: Buffer.from(String(Payload)) });
    expect(answer.StatusCode).toBe(example.output.StatusCode);
    await cloud.quiet();
  });

  test('a function is given its event and the context that is documented', async () => {
    const cloud = await open({ look: sample('look', { memoryMiB: 512 }) });
    const { result, StatusCode, ExecutedVersion } = await invoke(cloud, {
      FunctionName: 'look',
      Payload: Buffer.from('{"a":1}'),
    });
    expect([StatusCode, ExecutedVersion]).toEqual([200, '$LATEST']);
    expect(result).toMatchObject({
      event: { a: 1 },
      functionName: 'look',
      memory: '512',
      tenantId: null,
      arn: `arn:aws:lambda:${REGION}:123456789012:function:look`,
      canary: CANARIES.ASCII.toString(),
    });
    expect(result?.['remaining']).toBeGreaterThan(20_000);
    expect(result?.['remaining']).toBeLessThanOrEqual(30_000);
  });

  test('an environment is used again, with its memory and its files, one invocation at a time', async () => {
    const cloud = await open({ look: sample('look') });
    const first = await invoke(cloud, { FunctionName: 'look' });
    await cloud.quiet();
    const second = await invoke(cloud, { FunctionName: 'look' });
    expect([first.result, second.result]).toMatchObject([
      { invocations: 1, left: 1 },
      { invocations: 2, left: 2 },
    ]);
    await cloud.quiet();
    await Promise.all([1, 2].map(() => invoke(cloud, { FunctionName: 'look' })));
    expect(cloud.environments.length).toBe(2);
  });

  test('between two invocations an environment is frozen', async () => {
    const cloud = await open({ tick: sample('tick') });
    await invoke(cloud, { FunctionName: 'tick' });
    await cloud.quiet();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const { result } = await invoke(cloud, { FunctionName: 'tick' });
    // Not the hundred that it would have made.
    expect(result?.['ticks']).toBeLessThan(30);
  });

  test.for<[string, string, Partial<FunctionSpec>, object]>([
    ['throws', 'fail', {}, { errorType: 'TypeError', errorMessage: 'it failed on purpose' }],
    ['exits', 'exit', {}, { errorType: 'Runtime.ExitError', errorMessage: expect.stringContaining('exit status 3') }],
    [
      'is too slow',
      'stay',
      { timeoutSeconds: 1 },
      { errorType: 'Sandbox.Timedout', errorMessage: expect.stringContaining('Task timed out after 1.00 seconds') },
    ],
    ['is not there', 'nobody', {}, { errorType: 'Runtime.HandlerNotFound' }],
  ])('a function that %s is a function error, with HTTP status 200', async ([, name, over, error]) => {
    const cloud = await open({ broken: sample(name, over) });
    const answer = await invoke(cloud, { FunctionName: 'broken' });
    expect(answer).toMatchObject({ StatusCode: 200, FunctionError: 'Unhandled', result: error });
    // And the environment that died is not used again.
    if (name !== 'fail') expect(await cloud.environments[0]?.settled()).toBe(false);
  });

  test('a response is streamed, and completed', async () => {
    const cloud = await open({ stream: sample('stream') });
    const parts = ['one ', 'two ', 'three'];
    const answer = await streamed(cloud, {
      FunctionName: 'stream',
      LogType: 'Tail',
      Payload: Buffer.from(JSON.stringify({ parts })),
    });
    expect(answer).toEqual({ text: 'one two three', complete: { LogResult: expect.any(String) } });
  });

  test('a stream that fails midway is completed with the error', async () => {
    const cloud = await open({ broken: sample('failMidway') });
    const { text, complete } = await streamed(cloud, { FunctionName: 'broken' });
    expect(text).toBe('so far');
    expect(complete).toMatchObject({
      ErrorCode: 'RangeError',
      ErrorDetails: expect.stringContaining('and no further'),
    });
  });

  test('pitfall 12: a function goes on when its caller hangs up', async () => {
    const cloud = await open({ slow: sample('slowStream') });
    const hangUp = new AbortController();
    const { EventStream } = await clientOf(cloud).send(new InvokeWithResponseStreamCommand({ FunctionName: 'slow' }), {
      abortSignal: hangUp.signal,
    });
    for await (const _ of EventStream ?? []) {
      hangUp.abort();
      break;
    }
    await cloud.quiet();
    expect(existsSync(join(cloud.environments[0]?.tmp ?? '', 'went-on'))).toBe(true);
  });

  test('an event is accepted at once, and tried three times in all when it fails', async () => {
    const cloud = await open({ exit: sample('exit') });
    expect(await invoke(cloud, { FunctionName: 'exit', InvocationType: 'Event' })).toMatchObject({ StatusCode: 202 });
    await expect.poll(() => cloud.environments.length).toBe(3);
    await cloud.quiet();
    expect(cloud.environments.length).toBe(3);
  });

  test('a dry run invokes nothing', async () => {
    const cloud = await open({ look: sample('look') });
    expect(await invoke(cloud, { FunctionName: 'look', InvocationType: 'DryRun' })).toMatchObject({ StatusCode: 204 });
    const { $metadata } = await clientOf(cloud).send(
      new InvokeWithResponseStreamCommand({ FunctionName: 'look', InvocationType: 'DryRun' }),
    );
    expect($metadata.httpStatusCode).toBe(204);
    expect(cloud.environments).toEqual([]);
  });

  test('tenants have environments of their own', async () => {
    const cloud = await open({ look: sample('look', { tenantIsolation: true }) });
    for (const [TenantId, invocations, left] of [
      ['a', 1, 1],
      ['b', 1, 1],
      ['a', 2, 2],
    ] as const) {
      const { result } = await invoke(cloud, { FunctionName: 'look', TenantId });
      expect(result).toMatchObject({ tenantId: TenantId, invocations, left });
      await cloud.quiet();
    }
  });

  test.for<[string, InvokeCommandInput, string, number]>([
    ['an unknown function', { FunctionName: 'nobody' }, 'ResourceNotFoundException', 404],
    [
      'a tenant id for a function without tenancy',
      { FunctionName: 'plain', TenantId: 'a' },
      'InvalidParameterValueException',
      400,
    ],
    ['no tenant id for one with tenancy', { FunctionName: 'tenants' }, 'InvalidParameterValueException', 400],
    ['a tenant id of other characters', { FunctionName: 'tenants', TenantId: 'a|b' }, 'ValidationException', 400],
    [
      'a body that is not JSON',
      { FunctionName: 'plain', Payload: Buffer.from('{') },
      'InvalidRequestContentException',
      400,
    ],
    [
      '6 MB and more',
      { FunctionName: 'plain', Payload: Buffer.alloc(6 * 1024 * 1024 + 1, ' ') },
      'RequestTooLargeException',
      413,
    ],
    [
      'an event of more than 1 MB',
      { FunctionName: 'plain', InvocationType: 'Event', Payload: Buffer.alloc(1024 * 1024 + 1, ' ') },
      'RequestTooLargeException',
      413,
    ],
    ['a caller without the right', { FunctionName: 'denied' }, 'AccessDeniedException', 403],
  ])('refused: %s', async ([, input, name, status]) => {
    const functions = {
      plain: sample('look'),
      tenants: sample('look', { tenantIsolation: true }),
      denied: sample('look', { denied: true }),
    };
    const error = await invoke(await open(functions), input).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name, $metadata: { httpStatusCode: status } });
  });

  test('a request without a signature, or with a header that the service does not know, is refused', async () => {
    const { endpoint } = await open({ look: sample('look') });
    const url = `${endpoint}/2015-03-31/functions/look/invocations`;
    const unsigned = await fetch(url, { method: 'POST' });
    expect([unsigned.status, unsigned.headers.get('x-amzn-errortype')]).toEqual([
      403,
      'MissingAuthenticationTokenException',
    ]);
    const unknown = await fetch(url, { method: 'POST', headers: { 'x-amz-tenant': 'a' } });
    expect([unknown.status, unknown.headers.get('x-amzn-errortype')]).toEqual([400, 'ValidationException']);
  });

  test.for<[string, { concurrency?: number }, Partial<FunctionSpec>, string]>([
    ['the account', { concurrency: 1 }, {}, 'ConcurrentInvocationLimitExceeded'],
    ['the function', {}, { reservedConcurrency: 1 }, 'ReservedFunctionConcurrentInvocationLimitExceeded'],
  ])('more at once than %s may is throttled, with a reason and a time', async ([, account, over, Reason]) => {
    const cloud = await open({ stay: sample('stay', over) }, account);
    void invoke(cloud, { FunctionName: 'stay' }).catch(() => {});
    await expect.poll(() => cloud.environments.length).toBe(1);
    const error = await invoke(cloud, { FunctionName: 'stay' }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      name: 'TooManyRequestsException',
      Reason,
      retryAfterSeconds: '1',
      $metadata: { httpStatusCode: 429 },
    });
  });

  // As it was recorded in fixtures/sdk-wire.txt: this is why the provider asks for one attempt.
  test.for([
    ['error', 'ServiceException'],
    ['error', 'ResourceNotReadyException'],
    ['reset', ''],
  ] as const)('pitfall 1: by default the SDK asks three times after %s %s', async ([kind, type]) => {
    const cloud = await open({ look: sample('look') });
    for (let n = 0; n < 3; n++) cloud.faults.next('Invoke', kind === 'error' ? { kind, type } : { kind });
    const client = clientOf(cloud, { maxAttempts: 3 });
    await expect(client.send(new InvokeCommand({ FunctionName: 'look' }))).rejects.toThrow();
    expect(cloud.requests.get('Invoke')).toBe(3);
  });

  test.skipIf(!hasOwnMachines)(
    'the wrapper of the executor takes the credentials out of the runtime’s own environment',
    async () => {
      const wrapper = fileURLToPath(new URL('../../infra/executor/exec-wrapper.sh', import.meta.url));
      const cloud = await open({ look: sample('look', { environment: { AWS_LAMBDA_EXEC_WRAPPER: wrapper } }) });
      const { result } = await invoke(cloud, { FunctionName: 'look' });
      expect(result).toMatchObject({ canary: null });
      const pids = cloud.environments[0]?.pids() ?? [];
      const environments = pids.map((pid) => readFileSync(`/proc/${pid}/environ`, 'latin1'));
      expect(environments.join('\n')).toContain('AWS_LAMBDA_RUNTIME_API=');
      expect(environments.join('\n')).not.toContain('canary');
    },
  );
});
