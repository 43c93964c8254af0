import { describe, expect, test } from 'vitest';
import type { Observed, Provider, Run } from '../../shared/providers/provider.ts';
import type { CloudFault } from '../support/clouds/lambda-microvms/faults.ts';
import {
  imageArnOf,
  type LambdaMicrovmsCloud,
  type LambdaMicrovmsOptions,
} from '../support/clouds/lambda-microvms/lambda-microvms-cloud.ts';
import { openLambdaMicrovm } from '../support/clouds/lambda-microvms/open-lambda-microvm.ts';
import { processesWith } from '../support/processes.ts';
import { aRun, recordedIo } from '../support/run-io.ts';

const SLEEPER = { config: { image: imageArnOf('sleeper') } };
const FASTER = { ...SLEEPER, faster: 10 };
const error = (type: string): CloudFault => ({ kind: 'error', type });
const HANG: CloudFault = { kind: 'hang' };
const RESET: CloudFault = { kind: 'reset' };

const started = async (provider: Provider, run: Run = aRun(['/bin/true'])): Promise<Run> => {
  const outcome = await provider.start(run, recordedIo());
  if (outcome.kind !== 'accepted' || outcome.ref === undefined) throw new Error(JSON.stringify(outcome));
  return { ...run, ref: outcome.ref };
};
const isUp = (cloud: LambdaMicrovmsCloud, index = 0) =>
  expect.poll(() => cloud.microvms[index]?.state(), { timeout: 10_000 }).toBe('RUNNING');
const ended = async (cloud: LambdaMicrovmsCloud, provider: Provider, run: Run): Promise<Observed> => {
  await cloud.microvms.at(-1)?.terminated;
  return provider.observe(run);
};
/** One whose first process takes the hook and does as it is told by the test. */
const imageOf = (script: string): Partial<LambdaMicrovmsOptions> => ({
  images: { errand: { command: [process.execPath, '--input-type=module', '-e', script] } },
});
const answering = (status: number) =>
  imageOf(`import { createServer } from 'node:http';
    const server = createServer((request, response) =>
      response.writeHead(request.url.endsWith('/run') ? ${status} : 200).end());
    server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));`);

describe('what a run on lambda-microvm looks like', () => {
  test('alive from its start on, whether it is there yet or not', async () => {
    const { own, cloud } = await openLambdaMicrovm({ ...SLEEPER, startMs: 300 });
    const run = await started(own);
    expect(cloud.microvms[0]?.state()).toBe('PENDING');
    expect(await own.observe(run)).toEqual({ kind: 'alive' });
    await isUp(cloud);
    expect(await own.observe(run)).toEqual({ kind: 'alive' });
  });

  test('alive while it is suspended, by whoever did that, and not resumed by us', async () => {
    const { own, cloud } = await openLambdaMicrovm(SLEEPER);
    const run = await started(own);
    await isUp(cloud);
    cloud.microvms[0]?.suspend();
    expect(await own.observe(run)).toEqual({ kind: 'alive' });
    expect(cloud.requests.get('ResumeMicrovm')).toBeUndefined();
    await own.cancel(run);
    expect(await ended(cloud, own, run)).toMatchObject({ kind: 'gone' });
  });

  test('alive while it ends, since its runner may have a last word, then gone', async () => {
    const { own, provider, cloud } = await openLambdaMicrovm();
    const io = recordedIo();
    const run = aRun([
      '/bin/sh',
      '-c',
      'trap "sleep 0.3; echo last; exit 5" TERM; echo ready; while :; do sleep 0.02; done',
    ]);
    const running = provider.start(run, io);
    await io.seen('stdout', 'ready');
    const [microvm] = cloud.microvms;
    microvm?.terminate('Maximum duration reached.');
    const named = { ...run, ref: microvm?.id ?? '' };
    expect(microvm?.state()).toBe('TERMINATING');
    expect(await own.observe(named)).toEqual({ kind: 'alive' });
    expect(await running).toMatchObject({ kind: 'ended', exit: { exitCode: 5 } });
    expect(io.text('stdout')).toBe('ready\nlast\n');
    expect(await ended(cloud, own, named)).toEqual({
      kind: 'gone',
      detail: expect.stringContaining('Maximum duration reached.'),
    });
  });

  test('a machine that the platform ends without its hook is gone, and says why', async () => {
    const { own, cloud } = await openLambdaMicrovm(SLEEPER);
    const run = await started(own);
    await isUp(cloud);
    cloud.microvms[0]?.terminate('Host \nfailure.');
    expect(await ended(cloud, own, run)).toEqual({ kind: 'gone', detail: expect.stringMatching(/Host {2}failure\./) });
  });

  test.for([400, 409, 500])(
    'an image whose hook answers %i never runs the command, whenever it is tried',
    async (status) => {
      const { own, cloud } = await openLambdaMicrovm(answering(status));
      const run = await started(own);
      expect(await ended(cloud, own, run)).toEqual({
        kind: 'failed',
        detail: expect.stringMatching(new RegExp(`HTTP status ${status}.*Register`)),
      });
    },
  );

  test('a hook that is never answered leaves open what became of it', async () => {
    const { own, cloud } = await openLambdaMicrovm({ ...imageOf('setInterval(() => {}, 1_000)'), hookMs: 300 });
    expect(await ended(cloud, own, await started(own))).toMatchObject({ kind: 'gone' });
  });

  test('a machine that Lambda does not know any more is gone', async () => {
    const { own } = await openLambdaMicrovm(SLEEPER);
    const run = { ...aRun(['/bin/true']), ref: 'microvm-00000000-0000-0000-0000-000000000000' };
    expect(await own.observe(run)).toEqual({ kind: 'gone', detail: expect.stringContaining('no such MicroVM') });
    await own.cancel(run);
  });

  test('a look that fails is repeated, and for good it is an error, not an end', async () => {
    const { own, cloud } = await openLambdaMicrovm(FASTER);
    const run = await started(own);
    cloud.faults.next('GetMicrovm', error('InternalServerException'), RESET, HANG);
    expect(await own.observe(run)).toEqual({ kind: 'alive' });
    cloud.faults.next('GetMicrovm', error('ThrottlingException'));
    await expect(own.observe(run)).rejects.toThrow(/no more requests/);
    cloud.faults.next('GetMicrovm', ...Array<CloudFault>(4).fill(RESET));
    await expect(own.observe(run)).rejects.toThrow(/does not answer/);
  });
});

describe('the keeper of a MicroVM', () => {
  test('takes the payload as the body of the hook too', async () => {
    const { provider } = await openLambdaMicrovm({ bareRunHook: true });
    const io = recordedIo();
    expect(await provider.start(aRun(['/bin/echo', 'hello']), io)).toMatchObject({ exit: { exitCode: 0 } });
    expect(io.text('stdout')).toBe('hello\n');
  });

  test.for<[NodeJS.Signals, RegExp]>([
    ['SIGKILL', /died \(SIGKILL\), perhaps for want of memory/],
    ['SIGABRT', /died \(SIGABRT\)/],
  ])('tells of a runner that died by %s, which the machine would not show', async ([signal, words]) => {
    const { provider, cloud } = await openLambdaMicrovm();
    const io = recordedIo();
    const run = aRun(['/bin/sh', '-c', 'echo ready; sleep 1000']);
    const running = provider.start(run, io);
    await io.seen('stdout', 'ready');
    const [microvm] = cloud.microvms;
    // It alone has the token in its environment.
    const runners = processesWith(JSON.parse(microvm?.request.runHookPayload ?? '').token);
    expect(runners).toHaveLength(1);
    process.kill(runners[0] ?? 0, signal);
    expect(await running).toEqual({ kind: 'lost', detail: expect.stringMatching(words) });
  });
});

describe('a cancel on lambda-microvm', () => {
  test('ends a run, and twice is the same as once, also after its end', async () => {
    for (const endsTwice of [true, false]) {
      const { own, cloud } = await openLambdaMicrovm({ ...SLEEPER, endsTwice });
      const run = await started(own);
      await isUp(cloud);
      await Promise.all([own.cancel(run), own.cancel(run)]);
      expect(await ended(cloud, own, run)).toMatchObject({ kind: 'gone' });
      await own.cancel(run);
      expect(cloud.requests.get('TerminateMicrovm')).toBe(3);
    }
  });

  test('before the machine is there, none comes', async () => {
    const { own, cloud } = await openLambdaMicrovm({ startMs: 60_000 });
    const run = await started(own);
    await own.cancel(run);
    expect(await ended(cloud, own, run)).toMatchObject({ kind: 'gone' });
    expect(cloud.microvms[0]?.log()).toBe('');
  });

  test('while the start is under way ends what came of it', async () => {
    const { own, cloud } = await openLambdaMicrovm(SLEEPER);
    const run = aRun(['/bin/true']);
    const starting = started(own, run);
    // Nothing is known of it yet, so that there is nothing to end; whoever starts it is told what it is, and takes it back.
    await own.cancel(run);
    await own.cancel(await starting);
    expect(await ended(cloud, own, await starting)).toMatchObject({ kind: 'gone' });
  });

  test.for<[string, CloudFault]>([
    ['500', error('InternalServerException')],
    ['a reset', RESET],
    ['no answer', HANG],
    ['an answer that was lost', { kind: 'answer-lost' }],
  ])('is repeated after %s', async ([, fault]) => {
    const { own, cloud } = await openLambdaMicrovm(FASTER);
    const run = await started(own);
    cloud.faults.next('TerminateMicrovm', fault);
    await own.cancel(run);
    expect(await ended(cloud, own, run)).toMatchObject({ kind: 'gone' });
  });

  test.for<[string, RegExp]>([
    ['AccessDeniedException', /rights/],
    ['ThrottlingException', /no more requests/],
    // Of a machine that lives, so that it is not taken for one that has ended.
    ['ConflictException', /changed/],
    ['ValidationException', /refuses/],
  ])('that is answered with %s says so', async ([type, words]) => {
    const { own, cloud } = await openLambdaMicrovm(SLEEPER);
    const run = await started(own);
    cloud.faults.next('TerminateMicrovm', error(type));
    await expect(own.cancel(run)).rejects.toThrow(words);
    expect(await own.observe(run)).toEqual({ kind: 'alive' });
  });
});

describe('the health of lambda-microvm', () => {
  test.for<[string, CloudFault, RegExp]>([
    ['may not', error('AccessDeniedException'), /rights/],
    ['has no image', error('ResourceNotFoundException'), /config/],
    ['is throttled', error('ThrottlingException'), /no more requests/],
    ['fails', error('InternalServerException'), /does not answer, or fails/],
    ['does not answer', HANG, /does not answer, or fails/],
  ])('one that %s is not healthy, and says what to do; it is one request', async ([, fault, words]) => {
    const { own, cloud } = await openLambdaMicrovm(FASTER);
    cloud.faults.next('ListMicrovms', fault);
    expect(await own.health()).toEqual({ healthy: false, detail: expect.stringMatching(words) });
    expect(Object.fromEntries(cloud.requests)).toEqual({ ListMicrovms: 1 });
  });
});
