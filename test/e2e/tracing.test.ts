import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { makeClient } from '../../clients/sdk/client.ts';
import type { CommandView } from '../../shared/contract/schemas.ts';
import { parseTraceparent } from '../../shared/domain/trace-context.ts';
import { leaksInWords } from '../support/canaries/leaks.ts';
import { CANARIES } from '../support/canaries/values.ts';
import { cli, startServer } from '../support/cli.ts';
import { type Installation, KEY, openInstallation } from '../support/clouds/aws/installation.ts';
import { missingForDynamodb } from '../support/dynamodb-local.ts';
import { drawTrace, type OtlpReceiver, startOtlpReceiver } from '../support/telemetry/otlp-receiver.ts';
import { sharedDirectory, tempDirectory } from '../support/temp-directory.ts';
import { GITHUB_PUSH, githubHeaders } from '../support/webhooks.ts';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';
const TRACEPARENT = `00-${TRACE_ID}-${CALLER}-01`;
/** Without words of its own where there is no such variable. */
const TELLS = { argv: ['/bin/sh', '-c', 'echo "$TRACEPARENT $TRACESTATE"'] };

const receiver = async (): Promise<OtlpReceiver> => {
  const made = await startOtlpReceiver();
  onTestFinished(() => made.close());
  return made;
};

interface Asked {
  readonly url: string;
  readonly apiKey?: string;
  readonly headers?: Record<string, string>;
}

/** Submits, and reads on until it has ended. */
const submit = async ({ url, apiKey, headers = {} }: Asked, body: object): Promise<CommandView> => {
  const common = {
    'content-type': 'application/json',
    ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
  };
  const response = await fetch(`${url}/v1/commands`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { ...common, ...headers },
  });
  expect(response.status).toBe(202);
  const { id } = (await response.json()) as CommandView;
  for (;;) {
    const read = await fetch(`${url}/v1/commands/${id}`, { headers: { ...common, prefer: 'wait=10' } });
    const command = (await read.json()) as CommandView;
    if (command.endedAt) return command;
  }
};

const COMMAND = `command succeeded
  submit command
  queue
  attempt succeeded
    start
    run succeeded`;
const FAILED = COMMAND.replaceAll('succeeded', 'failed (exit)');
/** Further to the right, by so many levels. */
const below = (levels: number, tree: string): string => tree.replaceAll(/^/gm, '  '.repeat(levels));
const TREE = `POST /v1/commands 202
${below(1, COMMAND)}`;

/** Every span of the tree, and nothing beside it. */
const untilWhole = async (collector: OtlpReceiver, traceId: string, tree = TREE): Promise<void> => {
  await expect.poll(() => drawTrace(collector.spans(traceId)), { timeout: 30_000, interval: 200 }).toBe(tree);
};

describe('a server that tells of traces', () => {
  const OFTEN = (collector: OtlpReceiver) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });

  test('one trace goes from the caller through the request, the queue and the engine into the process', async () => {
    const collector = await receiver();
    const server = await startServer(tempDirectory(), [], OFTEN(collector));
    const headers = { traceparent: TRACEPARENT, tracestate: 'vendor=1' };
    const command = await submit({ url: server.url, headers }, TELLS);
    expect(command).toMatchObject({ status: 'succeeded', traceId: TRACE_ID });
    await untilWhole(collector, TRACE_ID);
    const spans = collector.spans(TRACE_ID);
    const named = (name: string) => spans.find((span) => span.name === name);
    expect(named('POST /v1/commands')).toMatchObject({ parentSpanId: CALLER, kind: 2, service: 'errand' });
    const [traceparent = '', tracestate] = command.stdout.trim().split(' ');
    expect(parseTraceparent(traceparent)).toEqual({ traceId: TRACE_ID, spanId: named('run')?.spanId, sampled: true });
    expect(tracestate).toBe('vendor=1');
    for (const { name, startMs, endMs, parentSpanId } of spans) {
      const parent = spans.find(({ spanId }) => spanId === parentSpanId);
      // The request is answered before the command has ended.
      if (parent && parent.kind !== 2)
        expect([name, startMs >= parent.startMs, endMs <= parent.endMs]).toEqual([name, true, true]);
    }
  });

  test('nothing of what callers write is in it, nor any secret', async () => {
    const collector = await receiver();
    const server = await startServer(tempDirectory(), [], OFTEN(collector));
    const written = 'a-word-that-nobody-else-uses';
    const script = `echo ${written}; exit 3`;
    const { traceId = '' } = await submit(
      { url: server.url },
      { script, env: { WORD: written }, labels: { word: written }, cwd: '/tmp', stdin: written },
    );
    await untilWhole(collector, traceId, TREE.replaceAll('succeeded', 'failed (exit)'));
    expect(collector.raw()).not.toContain(written);
    expect(leaksInWords([{ where: 'the spans', bytes: Buffer.from(collector.raw()) }])).toEqual([]);
  });

  test.for<[string, object]>([
    ['variable', { env: { TRACEPARENT: 'its own' } }],
    ['state', { env: { TRACESTATE: 'its own' } }],
  ])('a command’s own %s stays as it is, and nothing comes beside it', async ([, over]) => {
    const collector = await receiver();
    const server = await startServer(tempDirectory(), [], OFTEN(collector));
    expect((await submit({ url: server.url }, { ...TELLS, ...over })).stdout.trim()).toBe('its own');
  });

  test('a trace goes on in the next process after a restart', async () => {
    const collector = await receiver();
    const dataDirectory = tempDirectory();
    // Stored for a server that is yet to come.
    const env = { ...OFTEN(collector), TRACEPARENT };
    const submitted = await cli(['submit', '--json', '--', 'true'], { dataDirectory, env });
    expect(JSON.parse(submitted.stdout)).toMatchObject({ status: 'queued', traceId: TRACE_ID });
    await startServer(dataDirectory, [], OFTEN(collector));
    await untilWhole(collector, TRACE_ID);
  });

  test('a workflow is one trace, with its nodes, their commands and what was resumed', async () => {
    const collector = await receiver();
    const server = await startServer(tempDirectory(), [], OFTEN(collector));
    const client = makeClient({ url: server.url });
    const traced: typeof fetch = (input, init) => {
      const headers = new Headers(init?.headers);
      headers.set('traceparent', TRACEPARENT);
      return fetch(input, { ...init, headers });
    };
    const flag = join(tempDirectory(), 'flag');
    const made = await makeClient({ url: server.url, fetch: traced }).submitWorkflow({
      nodes: {
        build: { command: TELLS },
        test: { needs: ['build'], command: { argv: ['test', '-e', flag] } },
        ship: { needs: ['test'], forEach: { items: [1, 2] }, command: { argv: ['true'] } },
      },
    });
    expect(made.traceId).toBe(TRACE_ID);
    const first = `POST /v1/workflows 202
  workflow failed (failed)
    node build succeeded
${below(3, COMMAND)}
    node test failed (failed)
${below(3, FAILED)}`;
    await untilWhole(collector, TRACE_ID, first);
    const { nodes } = await client.getWorkflow(made.id);
    const { stdout } = await client.get(nodes[0]?.command ?? '');
    const run = collector.spans(TRACE_ID).find(({ name }) => name === 'run');
    expect(parseTraceparent(stdout.trim().split(' ')[0] ?? '')).toMatchObject({
      traceId: TRACE_ID,
      spanId: run?.spanId,
    });
    writeFileSync(flag, '');
    // By a request of another trace.
    await client.resumeWorkflow(made.id);
    const resumed = `${first}
  workflow succeeded
    node test succeeded
${below(3, COMMAND)}
    node ship succeeded
${below(3, COMMAND)}
${below(3, COMMAND)}`;
    await untilWhole(collector, TRACE_ID, resumed);
  });

  test('an instant of a schedule is a trace, and so is a delivery to a trigger', async () => {
    const collector = await receiver();
    const server = await startServer(tempDirectory(), [], OFTEN(collector));
    const client = makeClient({ url: server.url });
    const at = new Date(Date.now() + 1_000).toISOString();
    const { id } = await client.createSchedule({ at, command: TELLS });
    const fired = async () => (await client.getSchedule(id)).history[0]?.command ?? undefined;
    await expect.poll(fired, { timeout: 30_000 }).toBeDefined();
    const scheduled = await client.get((await fired()) ?? '', { waitSeconds: 10 });
    await untilWhole(collector, scheduled.traceId ?? '', `fire schedule submitted\n${below(1, COMMAND)}`);
    expect(scheduled.stdout).toContain(scheduled.traceId);

    const trigger = await client.createTrigger({ signature: { kind: 'github' }, command: TELLS });
    const body = GITHUB_PUSH.body;
    const response = await fetch(`${server.url}/hooks/${trigger.id}`, {
      method: 'POST',
      headers: githubHeaders(body, {}, trigger.secret ?? ''),
      body,
    });
    const { command } = (await response.json()) as { command: string };
    const delivered = await client.get(command, { waitSeconds: 10 });
    await untilWhole(collector, delivered.traceId ?? '', `POST /hooks/{id} 202\n${below(1, COMMAND)}`);
    expect(delivered.stdout).toContain(delivered.traceId);
  });

  test('whom the caller does not record is not told of, and the process knows', async () => {
    const collector = await receiver();
    const server = await startServer(tempDirectory(), [], OFTEN(collector));
    const traceparent = TRACEPARENT.replace(/01$/, '00');
    const { stdout } = await submit({ url: server.url, headers: { traceparent } }, TELLS);
    expect(parseTraceparent(stdout.trim())).toMatchObject({ traceId: TRACE_ID, sampled: false });
    // Another is told of, so that this one was had it been.
    const { traceId = '' } = await submit({ url: server.url }, TELLS);
    await untilWhole(collector, traceId);
    expect(collector.spans(TRACE_ID)).toEqual([]);
  });

  test('a collector that is away, or refuses, keeps nobody waiting, and is told of in the log', async () => {
    const collector = await receiver();
    collector.answerWith(400);
    const password = CANARIES.ASCII.toString().replaceAll(/[^a-z0-9]/gi, '');
    const endpoint = `http://errand:${password}@127.0.0.1:${new URL(collector.url).port}`;
    const server = await startServer(tempDirectory(), [], { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
    expect(await submit({ url: server.url }, TELLS)).toMatchObject({ status: 'succeeded' });
    await server.says('Spans could not be sent to the collector');
    expect(server.stderr()).not.toContain(password);
    server.process.kill('SIGTERM');
    expect(await server.exit).toBe(0);
  });

  test('does not start with an endpoint that is none, and does not repeat it', async () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' };
    const { exit, stderr } = await cli(['serve', '--port', '0'], { dataDirectory: tempDirectory(), env });
    expect([exit, stderr.trim()]).toEqual([125, expect.stringContaining('OTEL_EXPORTER_OTLP_ENDPOINT is no URL')]);
  });
});

describe('a server that tells of none', () => {
  test('passes the caller’s trace on to the process as it came', async () => {
    const server = await startServer();
    const headers = { traceparent: TRACEPARENT, tracestate: 'vendor=1' };
    const command = await submit({ url: server.url, headers }, TELLS);
    expect(command).toMatchObject({ traceId: TRACE_ID, stdout: `${TRACEPARENT} vendor=1\n` });
  });

  test('makes no trace of its own, and takes no nonsense for one', async () => {
    const server = await startServer();
    const command = await submit({ url: server.url, headers: { traceparent: 'nonsense' } }, TELLS);
    expect(command.stdout.trim()).toBe('');
    expect(command).not.toHaveProperty('traceId');
  });

  test('loads nothing of OpenTelemetry for a command', async () => {
    const dataDirectory = tempDirectory();
    const loaded = { NODE_DEBUG: 'esm,module' };
    const { stderr } = await cli(['run', '--', 'true'], { dataDirectory, env: loaded });
    expect(stderr).toContain('open-tracing.ts');
    expect(stderr).not.toMatch(/@opentelemetry|prom-client/);
  });
});

const needs = missingForDynamodb.length > 0 ? ` (needs ${missingForDynamodb.join(', ')})` : '';

describe.skipIf(missingForDynamodb.length > 0)(`Errand as deployed to AWS, telling of traces${needs}`, () => {
  let collector: OtlpReceiver;
  let cloud: Installation;
  beforeAll(async () => {
    collector = await startOtlpReceiver();
    cloud = await openInstallation({
      folder: sharedDirectory(),
      variables: {
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=trial',
      },
    });
  });
  afterAll(async () => {
    await cloud?.close();
    await collector.close();
  });

  test('one trace goes from the API through SQS and two workers into the process in Lambda', async () => {
    const client = makeClient({ url: cloud.url, apiKey: KEY });
    const headers = { traceparent: TRACEPARENT };
    const command = await submit({ url: cloud.url, apiKey: KEY, headers }, { ...TELLS, target: 'lambda' });
    expect(await client.get(command.id)).toMatchObject({ status: 'succeeded', traceId: TRACE_ID });
    await untilWhole(collector, TRACE_ID);
    const spans = collector.spans(TRACE_ID);
    const run = spans.find(({ name }) => name === 'run');
    expect(parseTraceparent(command.stdout.trim())).toEqual({ traceId: TRACE_ID, spanId: run?.spanId, sampled: true });
    expect(await cloud.leaks()).toEqual([]);
    expect(leaksInWords([{ where: 'the spans', bytes: Buffer.from(collector.raw()) }])).toEqual([]);
  });
});
