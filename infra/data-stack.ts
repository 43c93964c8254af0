import { ArnFormat, CfnOutput, Duration, Fn, RemovalPolicy, Stack, type StackProps, Validations } from 'aws-cdk-lib';
import { AttributeType, Billing, ProjectionType, TableEncryptionV2, TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import { BlockPublicAccess, Bucket, BucketEncryption, type IBucket, ObjectLockRetention } from 'aws-cdk-lib/aws-s3';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { TABLE } from '../shared/store/schema.ts';

const key = (name: string) => ({ name, type: AttributeType.STRING });

const PRIVATE = {
  blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
  encryption: BucketEncryption.S3_MANAGED,
  enforceSSL: true,
  removalPolicy: RemovalPolicy.RETAIN,
};

/** The longest that DynamoDB offers. */
const RECOVERY_DAYS = 35;

export interface DataStackProps extends StackProps {
  /** A table that was restored from the stack's own, to be used in its place (docs/guides/backup.md). */
  readonly restoredTable?: string | undefined;
}

/** All that must outlive a deployment: the table (the truth), the objects that are too large for it, the owner's key. */
export class DataStack extends Stack {
  /** The stack's own, or the one that was restored from it. */
  readonly table: { readonly tableName: string; readonly tableArn: string };
  readonly objects: Bucket;
  /** By its own name, which the checks of other stacks show. */
  readonly objectsArn: string;
  readonly objectsArnExport: string;
  /** The owner's key. AWS makes it, and it is in no template. */
  readonly key: Secret;
  /** From which the key is made that signs the audit log. */
  readonly auditKey: Secret;
  /** Checkpoints of audit logs: whoever holds the whole account cannot change or remove one for a year. */
  readonly checkpoints: Bucket;
  readonly checkpointsArn: string;
  readonly checkpointsArnExport: string;

  constructor(scope: Construct, id: string, { restoredTable, ...props }: DataStackProps = {}) {
    super(scope, id, props);
    const table = new TableV2(this, 'Table', {
      partitionKey: key(TABLE.partitionKey),
      sortKey: key(TABLE.sortKey),
      globalSecondaryIndexes: Object.entries(TABLE.indexes).map(([indexName, index]) => ({
        indexName,
        partitionKey: key(index.partitionKey),
        sortKey: key(index.sortKey),
        // Then a write that moves nothing in an index costs nothing there.
        projectionType: ProjectionType.KEYS_ONLY,
      })),
      timeToLiveAttribute: TABLE.expiresAt,
      billing: Billing.onDemand(),
      encryption: TableEncryptionV2.dynamoOwnedKey(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true, recoveryPeriodInDays: RECOVERY_DAYS },
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    // What other stacks import by these cannot go in the deployment in which they cease to.
    for (const value of [table.tableName, table.tableArn]) this.exportValue(value);
    this.table = restoredTable === undefined ? table : this.restored(restoredTable);
    const accessLogs = new Bucket(this, 'AccessLogs', {
      ...PRIVATE,
      lifecycleRules: [{ expiration: Duration.days(90) }],
    });
    this.objects = new Bucket(this, 'Objects', {
      ...PRIVATE,
      // Objects are immutable: a version that is not current was removed. It stays for as long as the table can be restored to a
      // time when it was named there.
      versioned: true,
      lifecycleRules: [
        {
          abortIncompleteMultipartUploadAfter: Duration.days(1),
          noncurrentVersionExpiration: Duration.days(RECOVERY_DAYS),
          expiredObjectDeleteMarker: true,
        },
      ],
      // Objects are tenants' output: who read one must be answerable afterwards.
      // The cast: CDK's own types are not written for exactOptionalPropertyTypes.
      serverAccessLogsBucket: accessLogs as IBucket,
    });
    this.objectsArnExport = `${this.stackName}-objects-arn`;
    new CfnOutput(this, 'ObjectsArn', { value: this.objects.bucketArn, exportName: this.objectsArnExport });
    this.objectsArn = Fn.importValue(this.objectsArnExport);
    this.checkpoints = new Bucket(this, 'Checkpoints', {
      ...PRIVATE,
      versioned: true,
      objectLockEnabled: true,
      objectLockDefaultRetention: ObjectLockRetention.compliance(Duration.days(365)),
      serverAccessLogsBucket: accessLogs as IBucket,
    });
    this.checkpointsArnExport = `${this.stackName}-checkpoints-arn`;
    new CfnOutput(this, 'CheckpointsArn', {
      value: this.checkpoints.bucketArn,
      exportName: this.checkpointsArnExport,
    });
    this.checkpointsArn = Fn.importValue(this.checkpointsArnExport);
    this.key = new Secret(this, 'Key', {
      description: 'The key of the owner of this installation of Errand',
      generateSecretString: { passwordLength: 48, excludePunctuation: true },
      removalPolicy: RemovalPolicy.RETAIN,
    });
    Validations.of(this.key).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        'Whoever holds the key has to be told of a new one, so that it is changed by hand: docs/guides/deploy-aws.md.',
    });
    this.auditKey = new Secret(this, 'AuditKey', {
      description: 'What signs the audit log of this installation of Errand',
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      removalPolicy: RemovalPolicy.RETAIN,
    });
    Validations.of(this.auditKey).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'Whoever verifies the log has to be told of a new key, so that it is changed by hand: docs/audit.md.',
    });
  }

  private restored(tableName: string): DataStack['table'] {
    const tableArn = this.formatArn({
      service: 'dynamodb',
      resource: 'table',
      resourceName: tableName,
      arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
    });
    return { tableName, tableArn };
  }
}
