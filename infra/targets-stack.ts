import { createHash } from 'node:crypto';
import { CustomResource, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { TargetConfig } from '../shared/providers/targets.ts';
import { installationOf } from './environment.ts';
import { ErrandFunction } from './errand-function.ts';
import { maySignInToAzure } from './permissions.ts';
import type { ProviderElsewhere } from './targets.ts';

export interface TargetsStackProps extends StackProps {
  readonly stage: string;
  readonly bundles: string;
  /** Those in other clouds. */
  readonly targets: readonly TargetConfig[];
}

/** Which settings of a target say where it is: what was made there is removed once no target is there any more. */
const PLACE: Readonly<Record<ProviderElsewhere, readonly string[]>> = {
  'cloud-run': ['project', 'region'],
  'azure-container-instances': ['subscriptionId', 'resourceGroup'],
};

const MINUTES = 5;

/**
 * What targets in other clouds need there: a custom resource for each place. In a stack of its own, so that another cloud
 * that is down, or does not trust this one yet, keeps nothing else from being deployed or removed.
 */
export class TargetsStack extends Stack {
  readonly function: ErrandFunction;

  constructor(scope: Construct, id: string, props: TargetsStackProps) {
    super(scope, id, props);
    const { stage, bundles, targets } = props;
    this.function = new ErrandFunction(this, 'prepare-target', {
      entry: 'prepare-target',
      stage,
      permissions: targets.some(({ provider }) => provider === 'azure-container-instances') ? [maySignInToAzure] : [],
      timeout: Duration.minutes(MINUTES),
      memoryMiB: 512,
      bundles,
      // CloudFormation is answered in any case; a second run would answer a question that is closed.
      retryAttempts: 0,
    });
    for (const [place, there] of Map.groupBy(targets, placeOf)) {
      new CustomResource(this, `TargetElsewhere-${there.map(({ name }) => name).join('-')}`, {
        resourceType: 'Custom::TargetElsewhere',
        serviceToken: this.function.function.functionArn,
        // Should the function die without a word: CloudFormation would wait for an hour.
        serviceTimeout: Duration.minutes(MINUTES + 1),
        properties: {
          Installation: installationOf(stage),
          Place: place,
          Targets: JSON.stringify(there),
          // New code may bring another runner, so that targets are prepared anew.
          Code: this.function.codeHash,
        },
      });
    }
  }
}

const placeOf = ({ provider, config }: TargetConfig): string => {
  const settings = config as Readonly<Record<string, string>>;
  const where = PLACE[provider as keyof typeof PLACE].map((name) => settings[name]);
  return `${provider}/${createHash('sha256').update(JSON.stringify(where)).digest('hex').slice(0, 16)}`;
};
