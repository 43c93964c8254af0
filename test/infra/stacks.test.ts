import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { App, Validations } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks } from 'cdk-nag';
import { afterAll, describe, expect, test, vi } from 'vitest';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { bundleFunction } from '../../infra/bundle.ts';
import { makeStacks } from '../../infra/stacks.ts';
import type { Endpoint } from '../../shared/contract/endpoint.ts';
import { endpoints } from '../../shared/contract/endpoints.ts';
import { targetsFile } from './targets-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

const make = (context: Record<string, unknown> = {}, bundles = 'bundles') => {
  const app = new App({ context: { ...cdkJson.context, ...context } });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  const stacks = makeStacks(app, { bundles: join(folder, bundles) });
  return { app, stacks };
};

type Resource = Readonly<Record<string, never>> & { readonly Properties: never };
const { app, stacks } = make();
const templates = {
  data: Template.fromStack(stacks.data),
  queue: Template.fromStack(stacks.queue),
  api: Template.fromStack(stacks.api),
  workers: Template.fromStack(stacks.workers),
};
const all = Object.values(templates);

/** The stack of targets in other clouds, of an installation that has some. */
const elsewhere = () => {
  const { targets } = make({ targets: targetsFile(folder) }).stacks;
  if (!targets) throw new Error('There is no such stack');
  return targets;
};

describe('the stacks', () => {
  test('pass every check, each exception with its reason', () => {
    expect(() => app.synth()).not.toThrow();
  });

  test('have a function for each entry, and an entry for each function', () => {
    const entries = readdirSync(new URL('../../functions/entries', import.meta.url)).map((file) =>
      file.replace('.ts', ''),
    );
    const names = [...all, Template.fromStack(elsewhere())]
      .flatMap((one) => Object.values(one.findResources('AWS::Lambda::Function')) as Resource[])
      .map(({ Properties }) => (Properties as { FunctionName: string }).FunctionName);
    expect(names.toSorted()).toEqual(entries.map((entry) => `errand-development-${entry}`).toSorted());
  });

  test('throttle each route by itself, and those that change other things than commands to a tenth', () => {
    const settingsOf = (template: Template) => {
      const [stage] = Object.values(template.findResources('AWS::ApiGatewayV2::Stage')) as unknown as {
        readonly Properties: { readonly DefaultRouteSettings: object; readonly RouteSettings: Record<string, object> };
        readonly DependsOn: readonly string[];
      }[];
      if (!stage) throw new Error('There is no stage');
      return stage;
    };
    const { Properties, DependsOn } = settingsOf(templates.api);
    expect(Properties.DefaultRouteSettings).toEqual({ ThrottlingRateLimit: 500, ThrottlingBurstLimit: 1_000 });
    const slow = { ThrottlingRateLimit: 50, ThrottlingBurstLimit: 100 };
    expect(Properties.RouteSettings).toMatchObject({
      'POST /v1/tenants': slow,
      'DELETE /v1/tenants/{id}': slow,
      'PUT /v1/secrets/{name}': slow,
    });
    const routes = Object.entries(templates.api.findResources('AWS::ApiGatewayV2::Route'));
    const keys = routes.map(([, route]) => (route as Resource).Properties['RouteKey'] as string);
    // A setting of a route that is not there, or not yet, fails the deployment.
    expect(keys).toEqual(expect.arrayContaining(Object.keys(Properties.RouteSettings)));
    expect(DependsOn).toEqual(expect.arrayContaining(routes.map(([id]) => id)));
    const quick = Object.keys(Properties.RouteSettings).filter((key) => /^GET |\/v1\/commands/.test(key));
    expect(quick).toEqual([]);
    const { api } = make({ apiRequestsPerSecond: '2000' }).stacks;
    expect(settingsOf(Template.fromStack(api)).Properties).toMatchObject({
      DefaultRouteSettings: { ThrottlingRateLimit: 2_000, ThrottlingBurstLimit: 4_000 },
      RouteSettings: { 'POST /v1/tenants': { ThrottlingRateLimit: 200, ThrottlingBurstLimit: 400 } },
    });
  });

  test('reserve invocations for those that were named, and without it for none', () => {
    const reserved = (...from: readonly Template[]) =>
      Object.fromEntries(
        (from.flatMap((one) => Object.values(one.findResources('AWS::Lambda::Function'))) as Resource[]).flatMap(
          ({ Properties }) => {
            const { FunctionName: name, ReservedConcurrentExecutions: most } = Properties as Record<string, unknown>;
            return most === undefined ? [] : [[name, most]];
          },
        ),
      );
    expect(reserved(...all)).toEqual({});
    const { api, workers } = make({ outputConcurrency: '100', runnerConcurrency: '50', sweepConcurrency: '2' }).stacks;
    expect(reserved(Template.fromStack(api), Template.fromStack(workers))).toEqual({
      'errand-development-output': 100,
      'errand-development-runner': 50,
      'errand-development-sweep': 2,
    });
  });

  test('have a route for each row of the endpoint table that callers use, and no other', () => {
    const routes = Object.values(templates.api.findResources('AWS::ApiGatewayV2::Route')) as Resource[];
    const keys = routes.map(({ Properties }) => (Properties as { RouteKey: string }).RouteKey);
    const rows = Object.values<Endpoint>(endpoints).filter(({ access }) => access !== 'runner');
    expect(keys.toSorted()).toEqual([...rows.map(({ method, path }) => `${method} ${path}`), '$default'].toSorted());
  });

  test('the executor is one tenant’s alone, starts without credentials, and has the name that targets know', () => {
    templates.workers.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'errand-development-execute',
      TenancyConfig: { TenantIsolationMode: 'PER_TENANT' },
      Environment: { Variables: { AWS_LAMBDA_EXEC_WRAPPER: '/var/task/exec-wrapper.sh', ERRAND_OWN_MACHINE: 'yes' } },
    });
  });

  test('every queue is encrypted, and every one but the last resorts has its dead letters and its alarm', () => {
    const queues = Object.values(templates.queue.findResources('AWS::SQS::Queue')) as Resource[];
    expect(queues).toHaveLength(6);
    const own = queues.map(({ Properties }) => Properties as { SqsManagedSseEnabled: boolean; RedrivePolicy?: object });
    expect(own.every(({ SqsManagedSseEnabled }) => SqsManagedSseEnabled)).toBe(true);
    expect(own.filter(({ RedrivePolicy }) => RedrivePolicy)).toHaveLength(3);
    templates.queue.resourceCountIs('AWS::CloudWatch::Alarm', 6);
    const dead = Object.values(templates.workers.findResources('AWS::SQS::Queue')) as Resource[];
    expect(dead.map(({ Properties }) => Properties)).toMatchObject([
      { SqsManagedSseEnabled: true, MessageRetentionPeriod: 14 * 24 * 3_600 },
    ]);
  });

  test('wake-ups that go round are not taken for a loop that got out of hand', () => {
    templates.workers.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'errand-development-run-commands',
      RecursiveLoop: 'Allow',
    });
  });

  test('every function but the executor has an alarm when it fails, and every one when it is throttled', () => {
    for (const template of [templates.api, templates.workers]) {
      const metrics = (Object.values(template.findResources('AWS::CloudWatch::Alarm')) as Resource[]).map(
        ({ Properties }) => Properties as { MetricName: string; Dimensions?: readonly { Value: { Ref: string } }[] },
      );
      const watched = (name: string) =>
        metrics.filter(({ MetricName }) => MetricName === name).map(({ Dimensions }) => Dimensions?.[0]?.Value.Ref);
      const functions = Object.keys(template.findResources('AWS::Lambda::Function')).toSorted();
      expect(watched('Throttles').toSorted()).toEqual(functions);
      expect(watched('Errors').toSorted()).toEqual(functions.filter((id) => !id.startsWith('execute')));
    }
  });

  test('all alarms tell the topic that was named, and none without', () => {
    const actionsIn = (template: Template) =>
      (Object.values(template.findResources('AWS::CloudWatch::Alarm')) as Resource[]).map(
        ({ Properties }) => (Properties as { AlarmActions?: readonly string[] }).AlarmActions,
      );
    const alarmTopic = 'arn:aws:sns:eu-central-1:123456789012:alarms';
    const told = make({ alarmTopic }).stacks;
    for (const one of ['queue', 'api', 'workers'] as const) {
      const actions = actionsIn(Template.fromStack(told[one]));
      expect(actions.length).toBeGreaterThan(5);
      expect(actions).toEqual(actions.map(() => [alarmTopic]));
      expect(actionsIn(templates[one])).toEqual(actions.map(() => undefined));
    }
  });

  test('all functions use a restored table in the place of the stack’s own, which stays with all that others import of it', () => {
    const restored = make({ restoredTable: 'errand-restored' });
    expect(() => restored.app.synth()).not.toThrow();
    const texts = (['api', 'workers'] as const).map((one) =>
      JSON.stringify(Template.fromStack(restored.stacks[one]).toJSON()),
    );
    for (const text of texts) {
      expect(text).toContain('"ERRAND_TABLE":"errand-restored"');
      expect(text).toContain(':table/errand-restored"');
      expect(text).toMatch(/:table\/errand-restored\/index\/(due|list)"/);
      expect(text).not.toMatch(/ExportsOutput\w*Table/);
    }
    const tableExports = (template: Template) =>
      Object.keys(template.findOutputs('*')).filter((name) => /Table/.test(name));
    expect(tableExports(Template.fromStack(restored.stacks.data))).toEqual(tableExports(templates.data));
    Template.fromStack(restored.stacks.data).resourceCountIs('AWS::DynamoDB::GlobalTable', 1);
  });

  test('all functions but the executor are told of a collector and of metrics, if these are asked for', () => {
    const toldIn = (template: Template) =>
      (Object.values(template.findResources('AWS::Lambda::Function')) as Resource[]).map(({ Properties }) => {
        const { Environment } = Properties as { Environment?: { Variables: Record<string, unknown> } };
        return [Environment?.Variables['OTEL_EXPORTER_OTLP_ENDPOINT'], Environment?.Variables['ERRAND_METRICS']];
      });
    const { stacks: asked } = make({ otlpEndpoint: 'https://collector.example.com:4318', metrics: 'emf' });
    const told = ['https://collector.example.com:4318/', 'emf'];
    const [api, workers] = [toldIn(Template.fromStack(asked.api)), toldIn(Template.fromStack(asked.workers))];
    expect(api).toEqual(api.map(() => told));
    expect(workers).toContainEqual([undefined, undefined]);
    expect(workers.filter(([endpoint]) => endpoint !== undefined)).toEqual([told, told, told]);
    expect(toldIn(templates.api).flat().filter(Boolean)).toEqual([]);
    for (const bad of ['collector:4318', 'https://user:word@collector.example.com']) {
      expect(() => make({ otlpEndpoint: bad })).toThrow('otlpEndpoint must be a URL');
    }
    expect(() => make({ metrics: 'all' })).toThrow('metrics must be emf');
  });

  test('functions that callers reach know the issuers that were named, and no other function does', () => {
    const file = join(folder, 'access.json');
    const issuers = [{ issuer: 'https://login.example.com/', audience: 'errand', tenant: 'acme' }];
    writeFileSync(file, JSON.stringify({ issuers }, null, 2));
    const issuersIn = (template: Template) =>
      (Object.values(template.findResources('AWS::Lambda::Function')) as Resource[]).map(
        ({ Properties }) =>
          (Properties as { Environment?: { Variables: Record<string, unknown> } }).Environment?.Variables[
            'ERRAND_ISSUERS'
          ],
      );
    const named = make({ access: file }).stacks;
    const ofApi = issuersIn(Template.fromStack(named.api));
    expect(ofApi).toEqual(ofApi.map(() => JSON.stringify({ issuers })));
    expect([...issuersIn(Template.fromStack(named.workers)), ...issuersIn(templates.api)].filter(Boolean)).toEqual([]);
    writeFileSync(file, JSON.stringify({ issuers: [{ ...issuers[0], issuer: 'http://login.example.com/' }] }));
    expect(() => make({ access: file })).toThrow('/issuers/0/issuer');
  });

  test('the worker takes batches, answers for each message, and has time before it is given another', () => {
    const sources = templates.workers.findResources('AWS::Lambda::EventSourceMapping', {
      Properties: { BatchSize: 10, FunctionResponseTypes: ['ReportBatchItemFailures'] },
    });
    expect(Object.keys(sources)).toHaveLength(3);
    templates.queue.hasResourceProperties('AWS::SQS::Queue', { VisibilityTimeout: 6 * 900 });
  });

  test('live output is streamed, and the way through the HTTP API is a long poll', () => {
    templates.api.hasResourceProperties('AWS::Lambda::Url', { InvokeMode: 'RESPONSE_STREAM' });
    templates.api.hasResourceProperties('AWS::ApiGatewayV2::Integration', {
      IntegrationType: 'HTTP_PROXY',
      RequestParameters: { 'overwrite:header.prefer': 'wait=20' },
    });
    // The function is asked under another name than the caller's.
    templates.api.hasResourceProperties('AWS::ApiGatewayV2::Integration', {
      IntegrationType: 'HTTP_PROXY',
      RequestParameters: {
        'overwrite:header.prefer': 'wait=20',
        'overwrite:header.errand-host': '$context.domainName',
      },
    });
  });

  test('the sweep runs each minute, and its silence is an alarm', () => {
    templates.workers.hasResourceProperties('AWS::Events::Rule', { ScheduleExpression: 'rate(1 minute)' });
    templates.workers.hasResourceProperties('AWS::CloudWatch::Alarm', { TreatMissingData: 'breaching' });
  });

  test('one rule wakes who sweeps, who fires schedules and who delivers to webhooks, and the silence of any is an alarm', () => {
    const rules = Object.values(templates.workers.findResources('AWS::Events::Rule')) as Resource[];
    expect(rules).toHaveLength(1);
    const targets = rules.flatMap(({ Properties }) => (Properties as { Targets: { Arn: unknown }[] }).Targets);
    const woken = targets.map(({ Arn }) =>
      JSON.stringify(Arn).replace(/.*"(sweep|fireschedules|deliverwebhooks)Function.*/, '$1'),
    );
    expect(woken.toSorted()).toEqual(['deliverwebhooks', 'fireschedules', 'sweep']);
    const silent = { MetricName: 'Invocations', TreatMissingData: 'breaching' };
    templates.workers.resourcePropertiesCountIs('AWS::CloudWatch::Alarm', silent, 3);
    // It waits for a minute for what is due in it.
    templates.workers.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'errand-development-fire-schedules',
      Timeout: 180,
      MemorySize: 256,
    });
  });

  test('every log is kept for a month and no longer', () => {
    for (const template of [templates.api, templates.workers]) {
      template.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
    }
  });

  test('no template holds a key, a token or a password', () => {
    const text = JSON.stringify([...all, Template.fromStack(elsewhere())].map((template) => template.toJSON()));
    expect(text).not.toMatch(/{{resolve:|AKIA[0-9A-Z]{16}|-----BEGIN|"SecretString"|\bpassword"\s*:/i);
    templates.data.hasResourceProperties('AWS::SecretsManager::Secret', { GenerateSecretString: Match.anyValue() });
  });

  test('a production installation is protected against its deletion', () => {
    const made = Object.values(make({ stage: 'production', targets: targetsFile(folder) }).stacks);
    expect(made.map((stack) => stack?.terminationProtection)).toEqual([true, true, true, true, true]);
    expect(stacks.data.terminationProtection).toBe(false);
  });

  test('the same sources give the same template', () => {
    const again = make({}, 'bundled-again').stacks;
    for (const one of ['data', 'queue', 'api', 'workers'] as const) {
      expect(Template.fromStack(again[one]).toJSON()).toEqual(templates[one].toJSON());
    }
  });
});

describe('a bundle', () => {
  const inputsOf = (entry: string): readonly string[] =>
    Object.keys(bundleFunction(entry, join(folder, 'own')).metafile.inputs);
  const SDKS = /@google-cloud|google-gax|@azure|@aws-sdk\/client-(lambda|sts)|node_modules\/node\//;

  test.for([
    'commands',
    'hooks',
    'mcp',
    'output',
    'providers',
    'schedules',
    'fire-schedules',
    'system',
    'runner',
    'triggers',
    'webhooks',
    'deliver-webhooks',
    'workflows',
  ])('of the API function %s holds no SDK of a provider', (entry) => {
    expect(inputsOf(entry).filter((input) => SDKS.test(input))).toEqual([]);
  });
  test('of prepare-target brings the runner of its release, loads, and answers', async () => {
    const { directory } = bundleFunction('prepare-target', join(folder, 'own'));
    expect(readdirSync(join(directory, 'runner'))).toEqual(expect.arrayContaining(['runner.mjs', 'helper.mjs']));
    const answers: string[] = [];
    const cloudFormation = createServer(async (request, response) => {
      answers.push(await text(request));
      response.end();
    });
    await new Promise<void>((resolve) => cloudFormation.listen(0, '127.0.0.1', resolve));
    const event = {
      RequestType: 'Delete',
      ResponseURL: `http://127.0.0.1:${(cloudFormation.address() as AddressInfo).port}/`,
      PhysicalResourceId: 'errand-test/place',
      ResourceProperties: { Installation: 'errand-test', Place: 'place', Targets: '[{}]' },
    };
    vi.stubEnv('AWS_REGION', 'eu-central-1');
    try {
      const { handler } = await import(join(directory, 'index.mjs'));
      await handler(event, { getRemainingTimeInMillis: () => 300_000 });
    } finally {
      vi.unstubAllEnvs();
      cloudFormation.close();
    }
    expect(answers.map((answer) => JSON.parse(answer))).toMatchObject([
      { Status: 'SUCCESS', PhysicalResourceId: 'errand-test/place', Reason: expect.stringContaining('cannot be read') },
    ]);
  });

  test('of the executor holds no SDK at all, and its wrapper beside it', () => {
    expect(inputsOf('execute').filter((input) => /@aws-sdk|@google-cloud|@azure/.test(input))).toEqual([]);
    expect(readdirSync(join(folder, 'own', 'execute'))).toContain('exec-wrapper.sh');
  });

  test('of none loads anything of OpenTelemetry before a span is told of, and none holds what keeps figures', () => {
    for (const entry of ['commands', 'run-commands'] as const) {
      const { outputs } = bundleFunction(entry, join(folder, 'own')).metafile;
      const [index = ''] = Object.keys(outputs).filter((file) => file.endsWith('index.mjs'));
      const eager = new Set<string>();
      const load = (file: string): void => {
        if (eager.has(file)) return;
        eager.add(file);
        for (const { path, kind } of outputs[file]?.imports ?? []) if (kind === 'import-statement') load(path);
      };
      load(index);
      const inputs = [...eager].flatMap((file) => Object.keys(outputs[file]?.inputs ?? {}));
      expect(inputs.some((input) => input.includes('open-tracing'))).toBe(true);
      expect(inputs.filter((input) => /@opentelemetry/.test(input))).toEqual([]);
      expect(inputsOf(entry).filter((input) => /prom-client/.test(input))).toEqual([]);
    }
  });

  test.for([
    ['commands', 1_070],
    ['hooks', 1_080],
    ['mcp', 1_460],
    ['output', 1_040],
    ['providers', 1_040],
    ['schedules', 1_090],
    ['fire-schedules', 1_040],
    ['webhooks', 1_040],
    ['deliver-webhooks', 940],
    ['system', 1_040],
    ['runner', 1_050],
    ['triggers', 1_080],
    ['workflows', 1_080],
    ['execute', 200],
    ['prepare-target', 4_000],
  ] as const)('of %s stays below %i KiB, what it loads lazily included', ([entry, kib]) => {
    const { outputs } = bundleFunction(entry, join(folder, 'own')).metafile;
    const bytes = Object.entries(outputs).reduce(
      (sum, [file, own]) => sum + (file.endsWith('.mjs') ? own.bytes : 0),
      0,
    );
    expect(bytes / 1024).toBeLessThan(kib);
  });
});
