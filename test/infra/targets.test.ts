import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Validations } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks } from 'cdk-nag';
import { afterAll, describe, expect, test } from 'vitest';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { makeStacks } from '../../infra/stacks.ts';
import { parseTargets } from '../../shared/providers/targets.ts';
import { CLOUD_RUN, CONTAINER_INSTANCES, LAMBDA_MICROVM, targetsFile } from './targets-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

const make = (content?: object, context: Record<string, unknown> = {}) => {
  const file = content === undefined ? {} : { targets: targetsFile(folder, content) };
  const app = new App({ context: { ...cdkJson.context, ...file, ...context } });
  return { app, stacks: makeStacks(app, { bundles: join(folder, 'bundles') }) };
};

/** What a function is told of targets, as it reads it: what CloudFormation fills in is named. */
const told = (template: Template, functionName: string) => {
  const [found] = Object.values(
    template.findResources('AWS::Lambda::Function', { Properties: { FunctionName: functionName } }),
  );
  const value = found?.['Properties'].Environment.Variables.ERRAND_TARGETS;
  const text: string =
    typeof value === 'string'
      ? value
      : value['Fn::Join'][1]
          .map((part: string | { Ref?: string }) =>
            typeof part === 'string' ? part : part.Ref === 'AWS::Region' ? 'eu-central-1' : 'https://runner.example/',
          )
          .join('');
  return parseTargets(text);
};

const OWN = {
  name: 'lambda',
  provider: 'lambda',
  config: { functionName: 'errand-development-execute', region: 'eu-central-1' },
};

describe('targets of an installation', () => {
  test('without a file: its own executor', () => {
    const { stacks } = make();
    expect(stacks.targets).toBeUndefined();
    expect(told(Template.fromStack(stacks.workers), 'errand-development-sweep')).toEqual({
      installation: 'errand-development',
      runnerUrl: 'https://runner.example/',
      targets: [OWN],
      pools: [],
    });
  });

  test('those who start no runs are not told where runners report, which would be a circle', () => {
    const { installation, runnerUrl } = told(Template.fromStack(make().stacks.api), 'errand-development-commands');
    expect({ installation, runnerUrl }).toEqual({ installation: 'errand-development', runnerUrl: undefined });
  });

  test('those of a file come after it, and its runnerUrl is taken', () => {
    const { stacks } = make({ runnerUrl: 'https://own.example', targets: [CLOUD_RUN] });
    expect(told(Template.fromStack(stacks.workers), 'errand-development-run-commands')).toEqual({
      installation: 'errand-development',
      runnerUrl: 'https://own.example',
      targets: [OWN, CLOUD_RUN],
      pools: [],
    });
  });

  test('are told of with their pools, of which the installation’s own executor may be one', () => {
    const pools = [{ name: 'anywhere', targets: ['cloud-run', 'lambda'], by: 'price' }];
    const { stacks } = make({ targets: [CLOUD_RUN], pools });
    for (const [stack, name] of [
      [stacks.workers, 'run-commands'],
      [stacks.api, 'commands'],
    ] as const) {
      expect(told(Template.fromStack(stack), `errand-development-${name}`).pools).toEqual(pools);
    }
  });

  test('one that is named lambda takes its place', () => {
    const other = { ...OWN, config: { ...OWN.config, freshEnvironment: 'command' } };
    const { stacks } = make({ targets: [CLOUD_RUN, other] });
    expect(told(Template.fromStack(stacks.workers), 'errand-development-run-commands').targets).toEqual([
      CLOUD_RUN,
      other,
    ]);
  });

  test('in other clouds are prepared by a custom resource for each place, which is bounded in time', () => {
    const second = { ...CLOUD_RUN, name: 'second', config: { ...CLOUD_RUN.config, cpu: 2 } };
    const abroad = { ...CLOUD_RUN, name: 'abroad', config: { ...CLOUD_RUN.config, region: 'us-east1' } };
    const { app, stacks } = make({ targets: [CLOUD_RUN, CONTAINER_INSTANCES, second, abroad] });
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
    expect(() => app.synth()).not.toThrow();
    if (!stacks.targets) throw new Error('There is no such stack');
    const made = Object.values(Template.fromStack(stacks.targets).findResources('Custom::TargetElsewhere'));
    const seen = made.map(({ Properties }) => ({
      installation: Properties.Installation,
      seconds: Number(Properties.ServiceTimeout),
      targets: JSON.parse(Properties.Targets).map(({ name }: { name: string }) => name),
    }));
    expect(seen).toEqual([
      { installation: 'errand-development', seconds: 360, targets: ['cloud-run', 'second'] },
      { installation: 'errand-development', seconds: 360, targets: ['aci'] },
      { installation: 'errand-development', seconds: 360, targets: ['abroad'] },
    ]);
    expect(new Set(made.map(({ Properties }) => Properties.Place)).size).toBe(3);
  });

  test('MicroVMs are of this account: no custom resource, and no finding of the checks', () => {
    const { app, stacks } = make({ targets: [LAMBDA_MICROVM] });
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
    expect(() => app.synth()).not.toThrow();
    expect(stacks.targets).toBeUndefined();
    expect(told(Template.fromStack(stacks.workers), 'errand-development-sweep').targets).toEqual([OWN, LAMBDA_MICROVM]);
  });

  const docker = { name: 'docker', provider: 'docker', config: { image: 'alpine:3' } };
  const trial = { ...CLOUD_RUN, config: { ...CLOUD_RUN.config, endpoint: 'http://127.0.0.1:1' } };
  const many = Array.from({ length: 12 }, (_, index) => ({ ...CLOUD_RUN, name: `t${index}` }));
  test.for<[string, object | undefined, Record<string, unknown>, string]>([
    ['a file that is not there', undefined, { targets: '/no/such/file.json' }, '/no/such/file.json'],
    ['an unknown provider', { targets: [{ ...OWN, provider: 'moon' }] }, {}, '/targets/0/provider'],
    ['an installation of its own', { installation: 'mine', targets: [] }, {}, '/installation'],
    ['a daemon of a machine', { targets: [docker] }, {}, '/targets/0/provider'],
    ['a target for local trials', { targets: [trial] }, {}, '/targets/0/config/endpoint'],
    ['more than a function can be told', { targets: many }, {}, 'do not fit'],
    ['a stage that is no name', undefined, { stage: 'Not A Name' }, 'short lower-case name'],
    ['memory that Lambda has not', undefined, { executorMemoryMiB: '64' }, 'executorMemoryMiB must be a whole number'],
    ['a table that is none', undefined, { restoredTable: 'my table' }, 'restoredTable must be the name of a table'],
    ['a rate that is none', undefined, { apiRequestsPerSecond: '0' }, 'apiRequestsPerSecond must be a whole number'],
    ['half an invocation', undefined, { sweepConcurrency: '0.5' }, 'sweepConcurrency must be a whole number'],
    ['a topic that is none', undefined, { alarmTopic: 'alarms' }, 'ARN of an SNS topic'],
  ])('refuses %s, in words', ([, content, context, words]) => {
    expect(() => make(content, context)).toThrow(words);
  });

  test('the executor has the memory and the storage that were asked for', () => {
    const { stacks } = make(undefined, { executorMemoryMiB: '512', executorStorageMiB: '2048' });
    Template.fromStack(stacks.workers).hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'errand-development-execute',
      MemorySize: 512,
      EphemeralStorage: { Size: 2_048 },
    });
  });
});
