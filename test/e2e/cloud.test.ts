import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, makeClient } from '../../clients/sdk/client.ts';
import { bundleMicrovm } from '../../infra/bundle.ts';
import { RUNNER_COMMAND } from '../../shared/runner/program.ts';
import { plantSecret, saidOpenly } from '../support/canaries/leaks.ts';
import { CANARIES } from '../support/canaries/values.ts';
import { cli, startCli } from '../support/cli.ts';
import { type Installation, KEY, openInstallation } from '../support/clouds/aws/installation.ts';
import { startContainerInstances } from '../support/clouds/azure-container-instances/container-instances-cloud.ts';
import { startCloudRunCloud } from '../support/clouds/cloud-run/cloud-run-cloud.ts';
import {
  imageArnOf,
  type LambdaMicrovmsCloud,
  REGION,
  startLambdaMicrovms,
} from '../support/clouds/lambda-microvms/lambda-microvms-cloud.ts';
import { missingForDynamodb } from '../support/dynamodb-local.ts';
import { sharedDirectory, tempDirectory } from '../support/temp-directory.ts';
import { GITHUB_PUSH, githubHeaders } from '../support/webhooks.ts';

const needs = missingForDynamodb.length > 0 ? ` (needs ${missingForDynamodb.join(', ')})` : '';

describe.skipIf(missingForDynamodb.length > 0)(`Errand as deployed to AWS${needs}`, () => {
  let cloud: Installation;
  let client: Client;
  let microvms: LambdaMicrovmsCloud;
  const folder = sharedDirectory();
  let others: readonly { close(): Promise<void> }[] = [];
  beforeAll(async () => {
    // The runner as it is packed into images, and Node in the place of the one that it brings.
    const { directory } = bundleMicrovm(join(folder, 'runner'));
    const containers = { folder, programs: { [RUNNER_COMMAND[0]]: [process.execPath, join(directory, 'runner.mjs')] } };
    const keeper = { command: [process.execPath, join(directory, 'keeper.mjs')] };
    microvms = await startLambdaMicrovms({ folder, images: { errand: keeper } });
    const [cloudRun, containerInstances] = [
      await startCloudRunCloud(containers),
      await startContainerInstances(containers),
    ];
    others = [microvms, cloudRun, containerInstances];
    const image = 'errand-base';
    cloud = await openInstallation({
      folder,
      targets: [
        {
          name: 'lambda-microvm',
          provider: 'lambda-microvm',
          config: { region: REGION, image: imageArnOf('errand'), endpoint: microvms.endpoint },
        },
        {
          name: 'cloud-run',
          provider: 'cloud-run',
          config: {
            project: 'a-project',
            region: 'europe-west1',
            image,
            serviceAccount: 'commands@a-project.iam.gserviceaccount.com',
            endpoint: cloudRun.endpoint,
          },
        },
        {
          name: 'azure-container-instances',
          provider: 'azure-container-instances',
          config: {
            subscriptionId: '00000000-0000-0000-0000-000000000000',
            resourceGroup: 'errand',
            location: 'westeurope',
            image,
            endpoint: containerInstances.endpoint,
          },
        },
      ],
    });
    client = makeClient({ url: cloud.url, streamUrl: cloud.streamUrl, apiKey: KEY });
  });
  afterAll(async () => {
    await cloud?.close();
    await Promise.all(others.map((one) => one.close()));
  });

  /** How the CLI is told of the installation. */
  const options = () => ({
    dataDirectory: tempDirectory(),
    env: { ERRAND_URL: cloud.url, ERRAND_STREAM_URL: cloud.streamUrl, ERRAND_API_KEY: KEY },
  });

  /** Asks the HTTP API. */
  const ask = async (method: string, path: string, key: string, body?: unknown) => {
    const response = await fetch(`${cloud.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: JSON.parse((await response.text()) || '{}') };
  };

  // First, since what others leave behind is removed later, and counted too.
  test('what a command costs in requests is what docs/cost.md says', async () => {
    const submit = () => client.submit({ argv: ['sh', '-c', 'sleep 1; echo 42'], target: 'lambda' });
    const { id: first } = await submit();
    while ((await client.get(first, { waitSeconds: 10 })).endedAt === null);
    await cloud.lambda.quiet();
    cloud.usage();
    const { id } = await submit();
    // The caller's own reads are not counted: how often one asks is one's own affair.
    await cloud.lambda.quiet();
    const isEnded = async () => (await client.get(id)).endedAt !== null;
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    const { dynamodb, sqs, invocations } = cloud.usage();
    expect(await isEnded()).toBe(true);
    expect(invocations).toEqual({ commands: 1, 'run-commands': 1, runner: 1, execute: 1 });
    expect(sqs.requests).toEqual({ SendMessage: 1 });
    expect(dynamodb.writeUnits).toBeLessThanOrEqual(9);
    expect(dynamodb.readUnits).toBeLessThanOrEqual(6);
  });

  const TARGETS = ['lambda', 'lambda-microvm', 'cloud-run', 'azure-container-instances'] as const;

  test.for(TARGETS)('runs a command on %s and brings back what it said', async (target) => {
    const ended = await client.run({ argv: ['sh', '-c', 'echo out; echo err >&2; exit 7'], target });
    expect(ended).toMatchObject({ status: 'failed', stdout: 'out\n', stderr: 'err\n', result: { exitCode: 7 } });
  });

  test('a MicroVM does not outlive its command: nobody but the control plane would end it', async () => {
    await client.run({ argv: ['true'], target: 'lambda-microvm' });
    const live = () => microvms.microvms.filter((one) => one.state() !== 'TERMINATED').length;
    await expect.poll(live, { timeout: 60_000 }).toBe(0);
    expect(microvms.microvms.length).toBeGreaterThan(0);
  });

  test.for([
    ['no key', undefined],
    ['another key', 'another-key-of-the-same-length-as-the-one'],
  ] as const)('lets nobody in with %s, and leaves only health open', async ([, apiKey]) => {
    const stranger = makeClient({ url: cloud.url, streamUrl: cloud.streamUrl, apiKey });
    const id = `cmd_${'0'.repeat(26)}`;
    for (const call of [
      () => stranger.submit({ argv: ['id'] }),
      () => stranger.get(id),
      () => stranger.cancel(id),
      () => stranger.targets(),
      () => stranger.readOutput(id),
      () => stranger.follow(id).next(),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'unauthenticated' });
    }
    expect((await fetch(`${cloud.url}/healthz`)).status).toBe(200);
  });

  test.for(TARGETS)('the CLI passes streams, input and exit code through, on %s', async (target) => {
    const passed = await cli(['run', '--on', target, '--', 'sh', '-c', 'cat; echo err >&2; exit 9'], {
      ...options(),
      input: 'in\n',
    });
    expect(passed).toMatchObject({ exit: 9, stdout: 'in\n', stderr: expect.stringContaining('err\n') });
  });

  test.for(TARGETS)('Ctrl-C cancels a command on %s, and it is gone', async (target) => {
    const running = startCli(['run', '--on', target, '--', 'sh', '-c', 'echo ready; sleep 1000'], options());
    await running.says('ready');
    running.process.kill('SIGINT');
    expect(await running.exit).toBe(130);
    const { value: last } = await client.list({ limit: 1 }).next();
    expect(last).toMatchObject({ status: 'canceled', result: { reason: 'canceled' } });
  });

  test('pitfall 17: output is live at the stream URL, and by long polls at the API itself', async () => {
    for (const streamUrl of [cloud.streamUrl, cloud.url]) {
      const own = makeClient({ url: cloud.url, streamUrl, apiKey: KEY });
      const script = 'echo ready; read answer; echo "got $answer"';
      const { id } = await own.submit({ script, stdin: 'open' });
      let text = '';
      for await (const event of own.follow(id)) {
        if (event.type !== 'stdout') continue;
        text += Buffer.from(event.bytes).toString();
        // Sent only once the first line was seen.
        if (text === 'ready\n') {
          await own.writeStdin(id, Buffer.from('yes\n'), 0);
          await own.endStdin(id);
        }
      }
      expect(text).toBe('ready\ngot yes\n');
    }
  });

  test('8 MiB of output arrive whole, past what one answer of the API holds', async () => {
    const script = 'yes 0123456789abcde | head -c 8388608';
    const { id, result } = await client.run({ script });
    expect(result).toMatchObject({ exitCode: 0, stdoutBytes: 8_388_608, droppedBytes: 0 });
    const { body } = await makeClient({ url: cloud.streamUrl, apiKey: KEY }).readOutput(id, { stream: 'stdout' });
    const bytes = Buffer.from(await new Response(body).arrayBuffer());
    expect(bytes.equals(Buffer.alloc(8_388_608, '0123456789abcde\n'))).toBe(true);
  });

  test('a command whose worker is killed before it ran is run by another', async () => {
    // Submitted and killed again and again, so that the kill hits every place.
    const ids: string[] = [];
    for (let round = 0; round < 4; round++) {
      const { id } = await client.submit({ argv: ['echo', 'ran'], retry: { maxAttempts: 2, on: ['lost'] } });
      ids.push(id);
      await cloud.kill('run-commands');
    }
    const deadline = Date.now() + 100_000;
    for (const id of ids) {
      for (;;) {
        const seen = await client.get(id, { waitSeconds: 5 });
        if (seen.endedAt !== null) {
          expect(seen).toMatchObject({ status: 'succeeded', stdout: 'ran\n' });
          break;
        }
        if (Date.now() > deadline) throw new Error(`${id} is still ${seen.status}`);
        await cloud.sweep();
      }
    }
  });

  test('a command whose worker is killed while it runs goes on, and its whole output and its end arrive', async () => {
    // Past the first look of its executor, from which on it makes sure that its end is stored.
    const script = 'echo ready; sleep 2; read go; seq 200000; echo err >&2; exit 3';
    const { id } = await client.submit({ script, stdin: 'open' });
    while (!(await client.get(id)).stdout?.includes('ready')) await new Promise((resolve) => setTimeout(resolve, 50));
    await cloud.kill('run-commands');
    await client.writeStdin(id, Buffer.from('go\n'), 0);
    await client.endStdin(id);
    let seen = await client.get(id);
    while (seen.endedAt === null) seen = await client.get(id, { waitSeconds: 10 });
    expect(seen).toMatchObject({ status: 'failed', stderr: 'err\n', result: { exitCode: 3, droppedBytes: 0 } });
    expect(seen.attempts).toHaveLength(1);
    const { body } = await makeClient({ url: cloud.streamUrl, apiKey: KEY }).readOutput(id, { stream: 'stdout' });
    const lines = Array.from({ length: 200_000 }, (_, i) => `${i + 1}\n`).join('');
    expect((await new Response(body).text()) === `ready\n${lines}`).toBe(true);
  });

  test('the sweep tells the API how the targets are', async () => {
    await cloud.sweep(new Date('2030-01-01T00:00:00Z'));
    expect((await client.targets()).items).toMatchObject(TARGETS.map((target) => ({ target, healthy: true })));
    expect((await fetch(`${cloud.url}/readyz`)).status).toBe(200);
  });

  test('a schedule is fired on its second by what is woken each minute, once by two of them', async () => {
    const at = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 4_000).toISOString();
    const { id } = await client.createSchedule({ at, command: { argv: ['echo', 'now'], target: 'lambda' } });
    await Promise.all([cloud.fireSchedules(), cloud.fireSchedules()]);
    const { state, history } = await client.getSchedule(id);
    expect([state, history]).toMatchObject(['ended', [{ at, outcome: 'submitted' }]]);
    const command = await client.get(history[0]?.command ?? '', { waitSeconds: 20 });
    expect(command).toMatchObject({ stdout: 'now\n', scheduledBy: { schedule: id, at } });
    const lateMs = Date.parse(command.submittedAt) - Date.parse(at);
    expect(lateMs).toBeGreaterThanOrEqual(0);
    expect(lateMs).toBeLessThan(5_000);
    const triggered = await client.triggerSchedule(id);
    expect(triggered).toMatchObject({ outcome: 'submitted', manual: true });
  });

  test('a signed delivery runs its command, once, and a forged one none', async () => {
    const { path, secret } = await client.createTrigger({
      signature: { kind: 'github' },
      command: {
        argv: ['/bin/sh', '-c', 'echo "$1"; wc -c', 'sh', '{{ body.after }}'],
        stdin: '{{ raw }}',
        target: 'lambda',
      },
    });
    const { body, after } = GITHUB_PUSH;
    const deliver = (key: string) =>
      fetch(`${cloud.url}${path}`, { method: 'POST', headers: githubHeaders(body, {}, key), body });
    expect((await deliver('somebody else’s secret')).status).toBe(404);
    const answers = await Promise.all([deliver(secret ?? ''), deliver(secret ?? '')]);
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
    const [first, second] = await Promise.all(answers.map(async (one) => (await one.json()) as { command: string }));
    expect(second).toEqual(first);
    const ran = await client.get(first?.command ?? '', { waitSeconds: 20 });
    expect(ran.stdout.split(/\s+/)).toEqual([after, String(body.length), '']);
  });

  test('a webhook is made, signs what is sent to try it out, and is sent nothing within the network', async () => {
    // It ends at once where there is none.
    await cloud.deliverWebhooks();
    const { id } = await client.createWebhook({ url: 'https://localhost/', events: ['*'], enabled: false });
    expect(await client.testWebhook(id)).toMatchObject({ delivered: false, try: { fault: 'address' } });
    expect((await client.rotateWebhook(id)).secrets).toHaveLength(2);
    await client.removeWebhook(id);
    for await (const left of client.listWebhooks()) expect(left).toBeUndefined();
  });

  test('a workflow goes on by wake-ups alone, hands outputs on, and is followed live', async () => {
    const node = (argv: unknown[], more: object = {}) => ({ command: { argv, target: 'lambda' }, ...more });
    const live = makeClient({ url: cloud.url, streamUrl: cloud.streamUrl, apiKey: KEY });
    const workflow = await live.runWorkflow({
      nodes: {
        list: node(['printf', 'one\\ntwo\\n']),
        each: node(['echo', { fromItem: '' }], { needs: ['list'], forEach: { fromOutput: 'list', as: 'lines' } }),
        all: node(['echo', { fromOutput: 'each' }], { needs: ['each'] }),
        never: node(['true'], { needs: ['all'], if: 'failed' }),
      },
    } as never);
    expect(workflow).toMatchObject({ status: 'succeeded', counts: { succeeded: 3, skipped: 1 } });
    const all = workflow.nodes.find(({ name }) => name === 'all')?.command ?? '';
    expect(await client.get(all)).toMatchObject({
      stdout: '["one","two"]\n',
      workflow: { id: workflow.id, node: 'all' },
    });
  });

  test('a tenant’s admin runs commands with a key of its own, and sees none of the owner’s', async () => {
    const ours = await client.submit({ argv: ['true'], target: 'lambda' }, { waitSeconds: 20 });
    const { key, admin } = (await ask('POST', '/v1/tenants', KEY, { id: 'acme', name: 'Acme' })).body;
    expect((await ask('GET', '/v1/whoami', key)).body).toMatchObject({ id: admin.id, tenant: 'acme', role: 'admin' });
    const theirs = await makeClient({ url: cloud.url, apiKey: key }).submit(
      { argv: ['true'], target: 'lambda' },
      { waitSeconds: 20 },
    );
    expect((await ask('GET', `/v1/commands/${ours.id}`, key)).status).toBe(404);
    expect((await ask('GET', `/v1/commands/${theirs.id}`, KEY)).status).toBe(404);
    expect((await ask('POST', '/v1/tenants', key, { id: 'mine', name: 'Mine' })).status).toBe(403);
    const policy = { default: 'deny', rules: [{ name: 'echo', effect: 'allow', programs: ['echo'] }] };
    expect((await ask('POST', '/v1/policies', key, { policy })).status).toBe(201);
    expect((await ask('POST', '/v1/commands', key, { script: 'echo $(ls)' })).body).toMatchObject({
      code: 'policy-denied',
    });
    expect((await ask('POST', '/v1/commands', key, { script: 'echo hi', target: 'lambda' })).body).toMatchObject({
      policy: { rule: 'echo' },
    });
    await cloud.sweep();
    expect((await ask('GET', '/v1/audit?type=policy.applied', key)).body).toMatchObject({
      items: [{ entry: { tenant: 'acme', sequence: expect.any(Number), subject: '1', actor: { id: admin.id } } }],
    });
    expect((await ask('GET', '/v1/audit/verify', key)).body).toMatchObject({ intact: true, checkpoints: 1 });
    expect((await ask('GET', '/v1/audit/verify', KEY)).body).toMatchObject({ intact: true });
    expect((await ask('GET', `/v1/commands/${theirs.id}/receipt`, key)).body).toMatchObject({
      receipt: { id: theirs.id },
    });
    expect((await ask('PATCH', '/v1/tenants/acme', KEY, { suspended: true })).status).toBe(200);
    expect((await ask('GET', '/v1/whoami', key)).status).toBe(401);
  });

  test('events are on the bus and come live once they have their place, by the function URL and as a long poll', async () => {
    const { key } = (await ask('POST', '/v1/tenants', KEY, { id: 'events', name: 'Events' })).body;
    const policy = { default: 'allow', rules: [] };
    expect((await ask('POST', '/v1/policies', key, { policy })).status).toBe(201);
    const types = ['policy.applied'] as const;
    const listening = [cloud.streamUrl, undefined].map(async (streamUrl) => {
      const own = makeClient({ url: cloud.url, apiKey: key, ...(streamUrl === undefined ? {} : { streamUrl }) });
      for await (const event of own.events({ types, after: 0 })) return event;
      return undefined;
    });
    await cloud.sweep();
    const wanted = { type: 'policy.applied', tenant: 'events', subject: '1', data: { actor: { role: 'admin' } } };
    for (const event of await Promise.all(listening)) expect(event).toMatchObject(wanted);
    const put = cloud.events().filter(({ DetailType }) => DetailType === 'policy.applied');
    const details = put.map(({ Detail = '' }) => JSON.parse(Detail)).filter(({ tenant }) => tenant === 'events');
    expect(details).toMatchObject([wanted]);
    await cloud.sweep();
    expect(cloud.events().filter(({ Detail }) => Detail === JSON.stringify(details[0]))).toHaveLength(1);
  });

  test('an access token of an issuer that cannot be reached is not good, and no other issuer’s is', async () => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    for (const iss of ['https://login.invalid/', 'https://other.invalid/']) {
      const claims = { iss, aud: 'errand', sub: 'ada', iat: 1, exp: 9_999_999_999 };
      const token = `${part({ alg: 'RS256', typ: 'at+jwt', kid: 'k' })}.${part(claims)}.${part({})}`;
      const response = await fetch(`${cloud.url}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } });
      expect([iss, response.status]).toEqual([iss, 401]);
    }
  });

  test('no function logs a key, a token, or anything of a command', async () => {
    const canary = 'canary-of-a-command';
    await client.run({ argv: ['sh', '-c', 'echo "$1" >&2', 'sh', canary], env: { SECRET: canary } });
    const logs = cloud.logs();
    expect(logs).not.toContain(canary);
    expect(logs).not.toContain(KEY);
    expect(logs).not.toMatch(/default\.cmd_[0-9a-z]+\.\d+\.[0-9a-f]{32}/);
  });

  test('secrets that commands were given and print are in no item, object, queue or log, nor are credentials of ours', async () => {
    for (const [name, bytes] of Object.entries(CANARIES)) {
      const response = await fetch(`${cloud.url}/v1/secrets/${name}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
        body: JSON.stringify({ valueBase64: bytes.toString('base64') }),
      });
      expect(response.status).toBe(200);
    }
    const secrets = Object.fromEntries(Object.keys(CANARIES).map((name) => [name, `secret:${name}`]));
    for (const target of TARGETS) {
      const { result, stdout } = await client.run({ script: 'env; printf %s "$PEM" >&2', target, secrets });
      expect([target, result?.exitCode, result?.redactions]).toEqual([target, 0, expect.any(Number)]);
      expect(stdout).toContain('***');
    }
    await cloud.sweep();
    expect(await cloud.leaks()).toEqual([]);
    // What is searched for is found where it is.
    plantSecret('said openly', Buffer.from('said-openly-here'));
    await client.run({ argv: ['echo', 'said-openly-here'] });
    expect(await cloud.leaks()).toContainEqual(expect.stringMatching(/said openly \(value, raw\) in the item/));
    saidOpenly('said-openly-here');
  });
});
