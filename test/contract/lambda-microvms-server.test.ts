import {
  GetMicrovmCommand,
  LambdaMicrovmsClient,
  ListMicrovmsCommand,
  ResumeMicrovmCommand,
  RunMicrovmCommand,
  type RunMicrovmCommandInput,
  SuspendMicrovmCommand,
  TerminateMicrovmCommand,
} from '@aws-sdk/client-lambda-microvms';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  imageArnOf,
  type LambdaMicrovmsCloud,
  REGION,
} from '../support/clouds/lambda-microvms/lambda-microvms-cloud.ts';
import { openCloud } from '../support/clouds/lambda-microvms/open-lambda-microvm.ts';

const clientOf = ({ endpoint }: LambdaMicrovmsCloud): LambdaMicrovmsClient => {
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
  const client = new LambdaMicrovmsClient({ endpoint, region: REGION, credentials, maxAttempts: 1 });
  onTestFinished(() => client.destroy());
  return client;
};

const SLEEPER: RunMicrovmCommandInput = { imageIdentifier: imageArnOf('sleeper') };
const open = async (options: Parameters<typeof openCloud>[0] = {}) => {
  const cloud = await openCloud(options);
  const client = clientOf(cloud);
  const run = (over: Partial<RunMicrovmCommandInput> = {}) =>
    client.send(new RunMicrovmCommand({ ...SLEEPER, ...over }));
  return { cloud, client, run };
};

describe('the local MicroVMs, by the real SDK', () => {
  test('a machine goes from PENDING over RUNNING and TERMINATING to TERMINATED, and is still shown then', async () => {
    const { cloud, client, run } = await open();
    const made = await run({ maximumDurationInSeconds: 600 });
    expect(made).toMatchObject({
      state: 'PENDING',
      microvmId: expect.stringMatching(/^microvm-[0-9a-f-]{36}$/),
      imageArn: imageArnOf('sleeper'),
      imageVersion: '1.0',
      maximumDurationInSeconds: 600,
      startedAt: expect.any(Date),
      egressNetworkConnectors: [expect.stringContaining('INTERNET_EGRESS')],
    });
    const microvmIdentifier = made.microvmId;
    const look = () => client.send(new GetMicrovmCommand({ microvmIdentifier }));
    await expect.poll(async () => (await look()).state).toBe('RUNNING');
    await client.send(new TerminateMicrovmCommand({ microvmIdentifier }));
    await cloud.microvms[0]?.terminated;
    expect(await look()).toMatchObject({
      state: 'TERMINATED',
      stateReason: 'Success.',
      terminatedAt: expect.any(Date),
    });
    const { items } = await client.send(new ListMicrovmsCommand({}));
    expect(items).toMatchObject([{ microvmId: microvmIdentifier, state: 'TERMINATED' }]);
    for (const Change of [TerminateMicrovmCommand, SuspendMicrovmCommand, ResumeMicrovmCommand]) {
      await expect(client.send(new Change({ microvmIdentifier }))).rejects.toMatchObject({
        name: 'ValidationException',
        message: expect.stringContaining('has been terminated'),
      });
    }
  });

  test('the life of a machine has an end', async () => {
    const { cloud, client, run } = await open();
    const { microvmId } = await run({ maximumDurationInSeconds: 1 });
    await cloud.microvms[0]?.terminated;
    const { stateReason } = await client.send(new GetMicrovmCommand({ microvmIdentifier: microvmId }));
    expect(stateReason).toContain('Maximum duration');
  });

  test('one that is suspended does nothing, and goes on when it is resumed', async () => {
    const { cloud, client, run } = await open({
      images: { sleeper: { command: ['/bin/sh', '-c', 'while :; do echo tick; sleep 0.02; done'], hooks: false } },
    });
    const { microvmId: microvmIdentifier } = await run();
    const ticks = () => cloud.microvms[0]?.log().split('tick').length ?? 0;
    await expect.poll(ticks).toBeGreaterThan(3);
    await client.send(new SuspendMicrovmCommand({ microvmIdentifier }));
    expect(cloud.microvms[0]?.state()).toBe('SUSPENDED');
    // What was written before arrives first.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const before = ticks();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(ticks()).toBe(before);
    await client.send(new ResumeMicrovmCommand({ microvmIdentifier }));
    await expect.poll(ticks).toBeGreaterThan(before);
  });

  test('a client token brings the same machine, and is one request’s', async () => {
    const { cloud, run } = await open();
    const [one, two] = [await run({ clientToken: 't' }), await run({ clientToken: 't' })];
    expect(one.microvmId).toBe(two.microvmId);
    await expect(run({ clientToken: 't', maximumDurationInSeconds: 5 })).rejects.toMatchObject({
      name: 'ConflictException',
    });
    // Without one the client makes one up.
    await run();
    expect(cloud.microvms).toHaveLength(2);
  });

  test('lists page by page, by image and by version', async () => {
    const sleeper = { versions: ['1.0', '2.0'], command: ['/bin/sleep', '1000'], hooks: false };
    const { client, run } = await open({ images: { sleeper, other: sleeper } });
    for (const imageVersion of ['1.0', '2.0', '1.0']) await run({ imageVersion });
    await run({ imageIdentifier: imageArnOf('other') });
    const list = (input: object) => client.send(new ListMicrovmsCommand(input));
    const first = await list({ imageIdentifier: imageArnOf('sleeper'), maxResults: 2 });
    expect([first.items?.length, first.nextToken]).toEqual([2, expect.any(String)]);
    const second = await list({ imageIdentifier: imageArnOf('sleeper'), maxResults: 2, nextToken: first.nextToken });
    expect([second.items?.length, second.nextToken]).toEqual([1, undefined]);
    expect((await list({ imageIdentifier: imageArnOf('sleeper'), imageVersion: '2.0' })).items).toHaveLength(1);
    expect((await list({})).items).toHaveLength(4);
  });

  test.for<[string, Partial<RunMicrovmCommandInput>, string, RegExp]>([
    ['no image', { imageIdentifier: undefined as never }, 'ValidationException', /imageIdentifier.*must not be null/],
    ['an image that is not there', { imageIdentifier: imageArnOf('no') }, 'ResourceNotFoundException', /not found/],
    ['the bare name of an image', { imageIdentifier: 'sleeper' }, 'ResourceNotFoundException', /not found/],
    ['a version that is not there', { imageVersion: '9.0' }, 'ResourceNotFoundException', /no version/],
    ['nine hours', { maximumDurationInSeconds: 32_400 }, 'ValidationException', /between 1 and 28800/],
    ['a payload too long', { runHookPayload: 'x'.repeat(4_097) }, 'ValidationException', /runHookPayload/],
    ['a token too long', { clientToken: 'x'.repeat(129) }, 'ValidationException', /clientToken/],
    ['a role that is none', { executionRoleArn: 'commands-of-strangers' }, 'ValidationException', /executionRoleArn/],
    ['a log to two places', { logging: { disabled: {}, cloudWatch: {} } as never }, 'ValidationException', /logging/],
    ['eleven ways out', { egressNetworkConnectors: Array(11).fill('c') }, 'ValidationException', /egressNetworkC/],
    [
      'half an idle policy',
      { idlePolicy: { maxIdleDurationSeconds: 60 } as never },
      'ValidationException',
      /suspendedDurationSeconds|autoResumeEnabled/,
    ],
  ])('refuses %s as the model has it', async ([, over, name, words]) => {
    const { cloud, run } = await open();
    await expect(run(over)).rejects.toMatchObject({ name, message: expect.stringMatching(words) });
    expect(cloud.microvms).toEqual([]);
  });

  test('refuses members that the model does not have, other paths, and whoever has not signed', async () => {
    const cloud = await openCloud();
    const authorization = `AWS4-HMAC-SHA256 Credential=a/20300101/${REGION}/lambda/aws4_request, Signature=x`;
    const post = async (path: string, body: object, headers: Record<string, string> = { authorization }) => {
      const init = { method: 'POST', headers, body: JSON.stringify(body) };
      return (await fetch(`${cloud.endpoint}${path}`, init)).headers.get('x-amzn-errortype');
    };
    expect(await post('/2025-09-09/microvms', { ...SLEEPER, tags: {} })).toBe('ValidationException');
    expect(await post('/2025-09-09/microvm', SLEEPER)).toBe('UnknownOperationException');
    expect(await post('/2025-09-09/microvms', SLEEPER, {})).toBe('MissingAuthenticationTokenException');
    expect(cloud.microvms).toEqual([]);
  });

  test.for<[string, number]>([
    ['ThrottlingException', 429],
    ['InternalServerException', 500],
    ['InsufficientCapacityException', 500],
    ['ServiceQuotaExceededException', 402],
    ['ConflictException', 409],
    ['AccessDeniedException', 403],
  ])('%s comes with the status that the model gives it', async ([type, status]) => {
    const { cloud, run } = await open();
    cloud.faults.next('RunMicrovm', { kind: 'error', type, retryAfterSeconds: 3 });
    const error = await run().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: type, $metadata: { httpStatusCode: status } });
  });
});
