import { describe, expect, test } from 'vitest';
import type { Provider, Run, StartOutcome } from '../../shared/providers/provider.ts';
import type { CloudFault } from '../support/clouds/lambda-microvms/faults.ts';
import { imageArnOf, REGION } from '../support/clouds/lambda-microvms/lambda-microvms-cloud.ts';
import { openLambdaMicrovm } from '../support/clouds/lambda-microvms/open-lambda-microvm.ts';
import { aRun, openInput, recordedIo } from '../support/run-io.ts';

const SLEEPER = { config: { image: imageArnOf('sleeper') } };
/** Time for waits that are long by intent, such as for an answer that never comes. */
const FASTER = { ...SLEEPER, faster: 10 };
const error = (type: string, retryAfterSeconds?: number): CloudFault => ({
  kind: 'error',
  type,
  ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
});
const HANG: CloudFault = { kind: 'hang' };
const RESET: CloudFault = { kind: 'reset' };
const ANSWER_LOST: CloudFault = { kind: 'answer-lost' };
const FAILS = error('InternalServerException');

const start = (provider: Provider, run: Run = aRun(['/bin/true'])): Promise<StartOutcome> =>
  provider.start(run, recordedIo());
const bodyOf = (cloud: { readonly bodies: readonly string[] }, index = 0) => JSON.parse(cloud.bodies[index] ?? '{}');

describe('a start on lambda-microvm', () => {
  test('tells Lambda nothing of the command but where its runner finds it', async () => {
    const { provider, cloud } = await openLambdaMicrovm();
    const stdin = openInput();
    stdin.write('secret-input');
    stdin.end();
    const io = recordedIo({ stdin });
    const run = aRun(['/bin/sh', '-c', 'cat; echo "$S secret-argument"'], { env: { S: 'secret-value' }, cwd: '/usr' });
    await provider.start(run, io);
    expect(io.text('stdout')).toBe('secret-inputsecret-value secret-argument\n');
    const [microvm] = cloud.microvms;
    const all = JSON.stringify([cloud.bodies, microvm?.view(), microvm?.log()]);
    expect(all).toContain(run.key);
    expect(all).not.toContain('secret');
    expect(all).not.toContain('"/usr"');
    expect(Object.keys(JSON.parse(bodyOf(cloud).runHookPayload)).toSorted()).toEqual(['token', 'url', 'v']);
  });

  test('gives its machine no role, no way in, no idle policy, no log, and a life as long as its command’s and a margin', async () => {
    const { own, cloud } = await openLambdaMicrovm(SLEEPER);
    const run = aRun(['/bin/true'], { timeoutSeconds: 90 });
    await start(own, run);
    expect(bodyOf(cloud)).toEqual({
      imageIdentifier: imageArnOf('sleeper'),
      clientToken: `errand-test/${run.key}`,
      runHookPayload: expect.any(String),
      maximumDurationInSeconds: 390,
      ingressNetworkConnectors: [`arn:aws:lambda:${REGION}:aws:network-connector:aws-network-connector:NO_INGRESS`],
      logging: { disabled: {} },
    });
  });

  test('passes on what the target is configured with', async () => {
    const egressConnector = `arn:aws:lambda:${REGION}:123456789012:network-connector:vpc`;
    const executionRole = 'arn:aws:iam::123456789012:role/commands';
    const config = { ...SLEEPER.config, imageVersion: '1.0', egressConnector, executionRole, logGroup: '/errand' };
    const { own, cloud } = await openLambdaMicrovm({ config });
    expect(await start(own)).toMatchObject({ kind: 'accepted' });
    expect(bodyOf(cloud)).toMatchObject({
      imageVersion: '1.0',
      egressNetworkConnectors: [egressConnector],
      executionRoleArn: executionRole,
      logging: { cloudWatch: { logGroup: '/errand' } },
    });
  });

  test('an image is one that the target maps', async () => {
    const images = { large: { image: imageArnOf('sleeper') } };
    const { own, cloud } = await openLambdaMicrovm({ config: { images } });
    expect(own.features.customImage).toBe(true);
    expect(await start(own, aRun(['/bin/true'], { image: 'large' }))).toMatchObject({ kind: 'accepted' });
    expect(bodyOf(cloud).imageIdentifier).toBe(imageArnOf('sleeper'));
    expect(await start(own, aRun(['/bin/true'], { image: 'alpine:3' }))).toMatchObject({
      kind: 'rejected',
      fault: { retryable: false, detail: expect.stringMatching(/no image alpine:3.*maps large/) },
    });
    expect(cloud.bodies).toHaveLength(1);
  });

  test.for<[number, boolean]>([
    [28_500, true],
    [28_501, false],
  ])('a command of %i s has a machine that lives as long: %s', async ([timeoutSeconds, fits]) => {
    const { own, cloud } = await openLambdaMicrovm(SLEEPER);
    const outcome = await start(own, aRun(['/bin/true'], { timeoutSeconds }));
    expect(outcome.kind).toBe(fits ? 'accepted' : 'rejected');
    expect(cloud.bodies.length > 0 ? bodyOf(cloud).maximumDurationInSeconds : undefined).toBe(
      fits ? 28_800 : undefined,
    );
    expect(own.features.longestTimeoutSeconds).toBe(28_500);
  });

  test('a runnerUrl that no payload holds is refused in words, without a request', async () => {
    const { another, cloud } = await openLambdaMicrovm(SLEEPER);
    const own = await another({ runnerUrl: `https://runner.example/${'a'.repeat(4_096)}` });
    expect(await start(own)).toMatchObject({ kind: 'rejected', fault: { retryable: false } });
    expect(cloud.bodies).toEqual([]);
  });

  test('two with one key are one machine: at one time, one after the other, and from two processes', async () => {
    const { own, another, cloud } = await openLambdaMicrovm(SLEEPER);
    const run = aRun(['/bin/true']);
    const outcomes = await Promise.all([start(own, run), start(own, run)]);
    outcomes.push(await start(own, run), await start(await another(), run));
    expect(new Set(outcomes.map((one) => JSON.stringify(one)))).toEqual(
      new Set([JSON.stringify({ kind: 'accepted', ref: cloud.microvms[0]?.id })]),
    );
    expect(cloud.microvms).toHaveLength(1);
  });

  test.for<[string, readonly CloudFault[], number]>([
    ['an answer that was lost', [ANSWER_LOST], 2],
    ['two answers that were lost', [ANSWER_LOST, ANSWER_LOST], 3],
    ['500', [FAILS], 2],
    ['a reset', [RESET], 2],
    ['no answer', [HANG], 2],
    ['all of them', [FAILS, RESET, HANG], 4],
    ['an answer that was lost, then a throttle', [ANSWER_LOST, error('ThrottlingException')], 3],
  ])('after %s it is repeated with its token, and brings one machine', async ([, faults, requests]) => {
    const { own, cloud } = await openLambdaMicrovm(FASTER);
    cloud.faults.next('RunMicrovm', ...faults);
    expect(await start(own)).toEqual({ kind: 'accepted', ref: cloud.microvms[0]?.id });
    expect([cloud.microvms.length, cloud.requests.get('RunMicrovm')]).toEqual([1, requests]);
    expect(new Set(cloud.bodies).size).toBe(1);
  });

  test.for<[string, readonly CloudFault[], number]>([
    ['500', Array(4).fill(FAILS), 0],
    ['no answer', Array(4).fill(HANG), 0],
    ['answers that are lost', Array(4).fill(ANSWER_LOST), 1],
    ['a lost answer and refusals', [ANSWER_LOST, ...Array(3).fill(error('ServiceQuotaExceededException'))], 1],
  ])(
    'after four times %s whether there is a machine is left open, and no other is started',
    async ([, faults, made]) => {
      const { own, cloud } = await openLambdaMicrovm({ ...FASTER, faster: 30 });
      cloud.faults.next('RunMicrovm', ...faults);
      const run = aRun(['/bin/true']);
      expect(await start(own, run)).toEqual({ kind: 'accepted' });
      expect([cloud.microvms.length, cloud.requests.get('RunMicrovm')]).toEqual([made, 4]);
      // Whoever asks later gives it up, which makes its ticket void.
      expect(await own.observe(run)).toEqual({ kind: 'gone', detail: expect.stringContaining('did not say') });
      await own.cancel(run);
      expect(cloud.requests.get('TerminateMicrovm')).toBeUndefined();
    },
  );

  test('the machine of a start that was given up finds its ticket void, and is ended by Lambda', async () => {
    const { own, provider, cloud } = await openLambdaMicrovm();
    let tickets = 1;
    const io = recordedIo({ redeem: async () => tickets-- > 0 });
    const run = aRun(['/bin/sh', '-c', 'echo ran'], { timeoutSeconds: 1 });
    expect(await provider.start(run, io)).toMatchObject({ kind: 'ended', exit: { exitCode: 0 } });
    // As a redelivery to a process that knows nothing of it would, with another client token.
    const { token } = JSON.parse(bodyOf(cloud).runHookPayload);
    const late = aRun(['/bin/true'], { token, timeoutSeconds: 1 });
    await start(own, late);
    await expect.poll(() => cloud.microvms[1]?.log(), { timeout: 10_000 }).toContain('The runner left');
    expect(io.text('stdout')).toBe('ran\n');
    expect(cloud.microvms[1]?.request.maximumDurationInSeconds).toBe(301);
  });

  test.for<[string, CloudFault, boolean, RegExp, number | undefined]>([
    ['ThrottlingException', error('ThrottlingException', 7), true, /no more requests/, 7],
    ['a throttle for a day', error('ThrottlingException', 86_400), true, /no more requests/, 3_600],
    ['ServiceQuotaExceededException', error('ServiceQuotaExceededException'), true, /quota/, undefined],
    ['InsufficientCapacityException', error('InsufficientCapacityException'), true, /capacity/, undefined],
    ['ConflictException', error('ConflictException'), true, /image/, undefined],
    ['ValidationException', error('ValidationException'), false, /as the test wants it/, undefined],
    ['ResourceNotFoundException', error('ResourceNotFoundException'), false, /config/, undefined],
    ['AccessDeniedException', error('AccessDeniedException'), false, /rights/, undefined],
    ['ExpiredTokenException', error('ExpiredTokenException'), true, /out of date/, undefined],
    ['InvalidSignatureException', error('InvalidSignatureException'), false, /credentials/, undefined],
  ])('after %s nothing was started, and that is said', async ([, fault, retryable, words, seconds]) => {
    const { own, cloud } = await openLambdaMicrovm(SLEEPER);
    cloud.faults.next('RunMicrovm', fault);
    const outcome = await start(own);
    expect(outcome).toMatchObject({ kind: 'rejected', fault: { retryable, detail: expect.stringMatching(words) } });
    expect(outcome.kind === 'rejected' && outcome.fault.retryAfterSeconds).toBe(seconds);
    // Neither the client nor the provider tries again what was refused.
    expect([cloud.requests.get('RunMicrovm'), cloud.microvms.length]).toEqual([1, 0]);
  });

  test('an account that has no more machines says so, and has room again when one has ended', async () => {
    const { own, cloud } = await openLambdaMicrovm({ ...SLEEPER, mostMicrovms: 1 });
    const first = aRun(['/bin/true']);
    const outcome = await start(own, first);
    expect(await start(own)).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
    await own.cancel({ ...first, ...('ref' in outcome ? { ref: outcome.ref as string } : {}) });
    await cloud.microvms[0]?.terminated;
    expect(await start(own)).toMatchObject({ kind: 'accepted' });
  });

  test('a place that cannot be reached is tried again later', async () => {
    const { own } = await openLambdaMicrovm({ config: { endpoint: 'http://127.0.0.1:9' } });
    expect(await start(own)).toMatchObject({
      kind: 'rejected',
      fault: { retryable: true, detail: expect.stringMatching(/ECONNREFUSED.*region/) },
    });
  });

  test('an image that is not there, and a version of it, are refused', async () => {
    for (const config of [{ image: imageArnOf('nobody') }, { image: imageArnOf('sleeper'), imageVersion: '9.0' }]) {
      const { own } = await openLambdaMicrovm({ config });
      expect(await start(own)).toMatchObject({ kind: 'rejected', fault: { retryable: false } });
    }
  });

  test('closing waits for a start under way, and leaves machines alone', async () => {
    const { own, cloud } = await openLambdaMicrovm(SLEEPER);
    const starting = start(own);
    await own.close();
    expect(await starting).toMatchObject({ kind: 'accepted' });
    await expect.poll(() => cloud.microvms[0]?.state()).toBe('RUNNING');
    expect(await start(own)).toMatchObject({ kind: 'rejected', fault: { retryable: true } });
  });
});
