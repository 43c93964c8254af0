import { AssetHashType, Duration, FileSystem, RemovalPolicy, type Size, Validations } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, type Metric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { PolicyDocument, type PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import {
  ApplicationLogLevel,
  Architecture,
  Code,
  Function as LambdaFunction,
  LoggingFormat,
  type RecursiveLoop,
  Runtime,
  SystemLogLevel,
  type TenancyConfig,
} from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { bundleFunction } from './bundle.ts';
import { functionNameOf } from './environment.ts';
import { DENY_ALL, type Permission, toStatement } from './permissions.ts';

export interface ErrandFunctionProps {
  /** A file of functions/entries. */
  readonly entry: string;
  readonly stage: string;
  readonly environment?: Record<string, string>;
  /** All that its role may do, beside writing its own log. `none`: not even that, whatever else is granted ever. */
  readonly permissions: readonly Permission[] | 'none';
  readonly timeout: Duration;
  /** @default 256 */
  readonly memoryMiB?: number;
  /** Of /tmp. @default 512 MiB */
  readonly storage?: Size;
  /** Where its bundle is made. */
  readonly bundles: string;
  readonly tenancy?: TenancyConfig;
  readonly recursiveLoop?: RecursiveLoop;
  /** Invocations at once that are kept for it, and beyond which it has none. @default it shares the account's */
  readonly reservedConcurrency?: number | undefined;
  /** How often Lambda tries again what was invoked without waiting. @default twice */
  readonly retryAttempts?: number;
}

const ALARM_MINUTES = 5;

/** A function as each of Errand's is: a bundle, a role, a log that is kept for a month, and alarms, all of its own. */
export class ErrandFunction extends Construct {
  readonly function: LambdaFunction;
  readonly role: Role;
  /** Another for other code. */
  readonly codeHash: string;

  constructor(scope: Construct, id: string, props: ErrandFunctionProps) {
    super(scope, id);
    const { entry, stage, environment = {}, permissions, timeout, memoryMiB = 256, bundles } = props;
    const { storage, tenancy, recursiveLoop, retryAttempts, reservedConcurrency } = props;
    const functionName = functionNameOf(stage, entry);
    const logGroup = new LogGroup(this, 'Log', {
      logGroupName: `/aws/lambda/${functionName}`,
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const log = { actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logGroup.logGroupArn] };
    const statements: readonly PolicyStatement[] =
      permissions === 'none' ? [DENY_ALL] : [log, ...permissions].map(toStatement);
    this.role = new Role(this, 'Role', {
      // Known beforehand: other clouds are told to trust the role of this name (docs/guides/deploy-aws.md).
      roleName: functionName,
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: `What the function ${entry} may do`,
      // Within the role itself, so that it is there before anything that needs it, such as a queue's event source.
      inlinePolicies: { own: new PolicyDocument({ statements: [...statements] }) },
    });
    for (const { wildcards = [] } of permissions === 'none' ? [] : permissions) {
      for (const { finding, reason } of wildcards) {
        Validations.of(this.role).acknowledge({ id: `AwsSolutions-IAM5[${finding}]`, reason });
      }
    }
    const { directory } = bundleFunction(entry, bundles);
    // Maps stay behind: the same sources give them again.
    const exclude = ['**/*.map'];
    this.codeHash = FileSystem.fingerprint(directory, { exclude });
    this.function = new LambdaFunction(this, 'Function', {
      functionName,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      handler: 'index.handler',
      code: Code.fromAsset(directory, { exclude, assetHash: this.codeHash, assetHashType: AssetHashType.CUSTOM }),
      // What it may do is written out, and nothing that CDK thinks useful comes on top.
      role: this.role.withoutPolicyUpdates(),
      environment,
      timeout,
      memorySize: memoryMiB,
      logGroup,
      // The platform's own lines of each invocation would cost more than most of what is worth knowing.
      loggingFormat: LoggingFormat.JSON,
      systemLogLevelV2: SystemLogLevel.WARN,
      applicationLogLevelV2: ApplicationLogLevel.INFO,
      ...(storage ? { ephemeralStorageSize: storage } : {}),
      ...(tenancy ? { tenancyConfig: tenancy } : {}),
      ...(recursiveLoop ? { recursiveLoop } : {}),
      ...(retryAttempts === undefined ? {} : { retryAttempts }),
      ...(reservedConcurrency === undefined ? {} : { reservedConcurrentExecutions: reservedConcurrency }),
    });
    const period = { period: Duration.minutes(ALARM_MINUTES) };
    // The executor ends itself after whatever leaves something behind, which counts as an error and is none.
    if (permissions !== 'none') {
      this.alarm('Errors', this.function.metricErrors(period), `${functionName} fails. Its log says why.`);
    }
    const full = 'The account’s concurrency is used up: ask AWS for more, or run less at once.';
    this.alarm('Throttles', this.function.metricThrottles(period), `${functionName} is throttled. ${full}`);
  }

  private alarm(id: string, metric: Metric, alarmDescription: string): void {
    new Alarm(this, id, {
      metric,
      alarmDescription,
      threshold: 0,
      comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
  }
}
