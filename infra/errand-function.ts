import { type Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import { Effect, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import {
  ApplicationLogLevel,
  Architecture,
  Code,
  Function as LambdaFunction,
  LoggingFormat,
  Runtime,
  SystemLogLevel,
  type TenancyConfig,
} from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { bundleFunction } from './bundle.ts';

/** What a function's role may do: actions on resources, and nothing else. */
export interface Permission {
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  /** Why some of it cannot be named one by one, and how the check calls that. */
  readonly wildcard?: { readonly finding: string; readonly reason: string };
}

export interface ErrandFunctionProps {
  /** A file of functions/entries. */
  readonly entry: string;
  readonly environment?: Record<string, string>;
  readonly permissions: readonly Permission[];
  readonly timeout: Duration;
  /** @default 256 */
  readonly memoryMiB?: number;
  /** Where its bundle is made. */
  readonly bundles: string;
  readonly tenancy?: TenancyConfig;
  /** Without it the role may not even write a log. @default true */
  readonly logs?: boolean;
}

/** A function as each of Errand's is: a bundle of its own, a role of its own, a log that is kept for a month. */
export class ErrandFunction extends Construct {
  readonly function: LambdaFunction;
  readonly role: Role;

  constructor(scope: Construct, id: string, props: ErrandFunctionProps) {
    super(scope, id);
    const { entry, environment = {}, permissions, timeout, memoryMiB = 256, bundles, tenancy, logs = true } = props;
    const logGroup = new LogGroup(this, 'Log', {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: `What the function ${entry} may do`,
    });
    for (const { actions, resources } of permissions) {
      this.role.addToPolicy(new PolicyStatement({ actions: [...actions], resources: [...resources] }));
    }
    for (const { wildcard } of permissions) {
      if (wildcard)
        Validations.of(this.role).acknowledge({
          id: `AwsSolutions-IAM5[${wildcard.finding}]`,
          reason: wildcard.reason,
        });
    }
    if (logs) logGroup.grantWrite(this.role);
    this.function = new LambdaFunction(this, 'Function', {
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      handler: 'index.handler',
      code: Code.fromAsset(bundleFunction(entry, bundles).directory),
      role: this.role.withoutPolicyUpdates(),
      environment,
      timeout,
      memorySize: memoryMiB,
      logGroup,
      // The platform's own lines of each invocation would cost more than most of what is worth knowing.
      loggingFormat: LoggingFormat.JSON,
      systemLogLevelV2: SystemLogLevel.WARN,
      applicationLogLevelV2: ApplicationLogLevel.INFO,
      ...(tenancy ? { tenancyConfig: tenancy } : {}),
    });
  }
}

/** Takes away whatever else should ever be granted. */
export const denyAll = (): PolicyStatement =>
  new PolicyStatement({ effect: Effect.DENY, actions: ['*'], resources: ['*'] });
