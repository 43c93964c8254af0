import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Validations } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks } from 'cdk-nag';
import { afterAll, describe, expect, test } from 'vitest';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { bundleFunction } from '../../infra/bundle.ts';
import { makeStacks } from '../../infra/stacks.ts';
import { type Endpoint, endpoints } from '../../shared/contract/endpoints.ts';

const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

const make = (context: Record<string, unknown> = {}) => {
  const app = new App({ context: { ...cdkJson.context, ...context } });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  const stacks = makeStacks(app, { bundles: join(folder, 'bundles') });
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

/** What each function's role may do, by the file that it is bundled of. */
const allowed = (template: Template, entry: string): string[] => {
  const policies = Object.entries(template.findResources('AWS::IAM::Policy')) as [string, Resource][];
  const id = entry.replaceAll('-', '');
  const own = policies.filter(([name]) => name.startsWith(`${id}Role`));
  const statements = own.flatMap(
    ([, { Properties }]) => (Properties as { PolicyDocument: { Statement: never[] } }).PolicyDocument.Statement,
  );
  return statements
    .flatMap(({ Effect, Action }) => [Action].flat().map((action) => (Effect === 'Deny' ? `deny ${action}` : action)))
    .toSorted();
};

const READ = ['dynamodb:BatchGetItem', 'dynamodb:GetItem', 'dynamodb:Query'];
const WRITE = ['dynamodb:ConditionCheckItem', 'dynamodb:DeleteItem', 'dynamodb:PutItem'];
const OBJECTS = ['s3:DeleteObject', 's3:GetObject', 's3:ListBucket', 's3:PutObject'];
const KEY = ['secretsmanager:GetSecretValue'];
const LOG = ['logs:CreateLogStream', 'logs:PutLogEvents'];
const WAKE = ['sqs:SendMessage'];
const TAKE = ['sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'];
const RUN = ['lambda:InvokeFunction'];

describe('the stacks', () => {
  test('pass every check, each exception with its reason', () => {
    expect(() => app.synth()).not.toThrow();
  });

  test('have a function for each entry, and an entry for each function', () => {
    const entries = readdirSync(new URL('../../functions/entries', import.meta.url)).map((file) =>
      file.replace('.ts', ''),
    );
    const made = { ...stacks.api.functions, ...stacks.workers.functions };
    expect(Object.keys(made).toSorted()).toEqual(entries.toSorted());
    const count = [templates.api, templates.workers].map(
      (one) => Object.keys(one.findResources('AWS::Lambda::Function')).length,
    );
    expect(count[0] ?? 0).toBe(5);
    expect(count[1] ?? 0).toBe(3);
  });

  test('have a route for each row of the endpoint table that callers use, and no other', () => {
    const routes = Object.values(templates.api.findResources('AWS::ApiGatewayV2::Route')) as Resource[];
    const keys = routes.map(({ Properties }) => (Properties as { RouteKey: string }).RouteKey);
    const rows = Object.values<Endpoint>(endpoints).filter(({ access }) => access !== 'runner');
    expect(keys.toSorted()).toEqual([...rows.map(({ method, path }) => `${method} ${path}`), '$default'].toSorted());
  });

  test.for<[string, 'api' | 'workers', string[]]>([
    ['commands', 'api', [...READ, ...WRITE, ...OBJECTS, ...WAKE, ...KEY, ...LOG]],
    ['output', 'api', [...READ, 's3:GetObject', ...KEY, ...LOG]],
    ['providers', 'api', [...READ, ...KEY, ...LOG]],
    ['system', 'api', [...READ, ...LOG]],
    ['runner', 'api', [...READ, ...WRITE, ...OBJECTS, ...WAKE, ...LOG]],
    ['run-commands', 'workers', [...READ, ...WRITE, ...OBJECTS, ...WAKE, ...TAKE, ...RUN, ...LOG]],
    ['sweep', 'workers', [...READ, ...WRITE, ...OBJECTS, ...WAKE, ...RUN, ...LOG]],
    ['execute', 'workers', ['deny *']],
  ])('the role of %s may do what its code calls, and nothing else', ([entry, stack, expected]) => {
    expect(allowed(templates[stack], entry)).toEqual(expected.toSorted());
  });

  test('no role may do anything to everything', () => {
    for (const template of all) {
      for (const { Properties } of Object.values(template.findResources('AWS::IAM::Policy')) as Resource[]) {
        const { Statement } = (
          Properties as { PolicyDocument: { Statement: { Effect: string; Action: unknown; Resource: unknown }[] } }
        ).PolicyDocument;
        for (const { Effect, Action, Resource: on } of Statement) {
          if (Effect === 'Allow') expect([[Action].flat(), [on].flat()].flat()).not.toContain('*');
        }
      }
    }
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
  });

  test('the sweep runs each minute, and its silence is an alarm', () => {
    templates.workers.hasResourceProperties('AWS::Events::Rule', { ScheduleExpression: 'rate(1 minute)' });
    templates.workers.hasResourceProperties('AWS::CloudWatch::Alarm', { TreatMissingData: 'breaching' });
  });

  test('every log is kept for a month and no longer', () => {
    for (const template of [templates.api, templates.workers]) {
      template.allResourcesProperties('AWS::Logs::LogGroup', { RetentionInDays: 30 });
    }
  });

  test('no template holds a key, a token or a password', () => {
    const text = JSON.stringify(all.map((template) => template.toJSON()));
    expect(text).not.toMatch(/AKIA[0-9A-Z]{16}|-----BEGIN|"SecretString"|\bpassword"\s*:/i);
    templates.data.hasResourceProperties('AWS::SecretsManager::Secret', { GenerateSecretString: Match.anyValue() });
  });

  test('a production installation is protected against its deletion', () => {
    expect(make({ stage: 'production' }).stacks.data.terminationProtection).toBe(true);
    expect(stacks.data.terminationProtection).toBe(false);
  });

  test('a stage or a file of targets that is none is refused in words', () => {
    expect(() => make({ stage: 'Not A Name' })).toThrow('short lower-case name');
    expect(() => make({ targets: '/no/such/file.json' })).toThrow('/no/such/file.json');
  });

  test('the same sources give the same template', () => {
    expect(Template.fromStack(make().stacks.workers).toJSON()).toEqual(templates.workers.toJSON());
  });
});

describe('a bundle', () => {
  const inputsOf = (entry: string): readonly string[] =>
    Object.keys(bundleFunction(entry, join(folder, 'own')).metafile.inputs);
  const SDKS = /@google-cloud|google-gax|@azure|@aws-sdk\/client-(lambda|sts)|node_modules\/node\//;

  test.for(['commands', 'output', 'providers', 'system', 'runner'])(
    'of the API function %s holds no SDK of a provider',
    (entry) => {
      expect(inputsOf(entry).filter((input) => SDKS.test(input))).toEqual([]);
    },
  );

  test('of the executor holds no SDK at all, and its wrapper beside it', () => {
    expect(inputsOf('execute').filter((input) => /@aws-sdk|@google-cloud|@azure/.test(input))).toEqual([]);
    expect(readdirSync(join(folder, 'own', 'execute'))).toContain('exec-wrapper.sh');
  });

  test.for([
    ['commands', 900],
    ['output', 900],
    ['providers', 900],
    ['system', 900],
    ['runner', 900],
    ['execute', 200],
  ] as const)('of %s stays below %i KiB, what it loads lazily included', ([entry, kib]) => {
    const { outputs } = bundleFunction(entry, join(folder, 'own')).metafile;
    const bytes = Object.entries(outputs).reduce(
      (sum, [file, own]) => sum + (file.endsWith('.mjs') ? own.bytes : 0),
      0,
    );
    expect(bytes / 1024).toBeLessThan(kib);
  });
});
