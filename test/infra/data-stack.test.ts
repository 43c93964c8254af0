import { App, Stack, Validations } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, test } from 'vitest';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { DataStack } from '../../infra/data-stack.ts';
import { TABLE } from '../../shared/store/schema.ts';

/** An app as `cdk synth` makes it. */
const makeApp = () => {
  const app = new App({ context: cdkJson.context });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return app;
};

describe('the data stack', () => {
  const template = Template.fromStack(new DataStack(makeApp(), 'data'));
  const [table] = Object.values(template.findResources('AWS::DynamoDB::GlobalTable'));

  test('has exactly the keys and indexes of the schema', () => {
    expect(table?.['Properties'].KeySchema).toEqual([
      { AttributeName: TABLE.partitionKey, KeyType: 'HASH' },
      { AttributeName: TABLE.sortKey, KeyType: 'RANGE' },
    ]);
    expect(
      table?.['Properties'].GlobalSecondaryIndexes.map(
        (index: { IndexName: string; KeySchema: unknown; Projection: unknown }) => [
          index.IndexName,
          index.KeySchema,
          index.Projection,
        ],
      ),
    ).toEqual(
      Object.entries(TABLE.indexes).map(([name, { partitionKey, sortKey }]) => [
        name,
        [
          { AttributeName: partitionKey, KeyType: 'HASH' },
          { AttributeName: sortKey, KeyType: 'RANGE' },
        ],
        { ProjectionType: 'KEYS_ONLY' },
      ]),
    );
    expect(table?.['Properties'].TimeToLiveSpecification).toEqual({ AttributeName: TABLE.expiresAt, Enabled: true });
  });

  test('keeps its data: point-in-time recovery, deletion protection, retained when the stack goes', () => {
    template.hasResource('AWS::DynamoDB::GlobalTable', {
      DeletionPolicy: 'Retain',
      Properties: {
        Replicas: [
          Match.objectLike({
            DeletionProtectionEnabled: true,
            PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 35 },
          }),
        ],
      },
    });
    template.hasResource('AWS::S3::Bucket', { DeletionPolicy: 'Retain' });
  });

  test('keeps removed objects for as long as the table can be restored to a time at which it named them', () => {
    template.hasResourceProperties('AWS::S3::Bucket', {
      VersioningConfiguration: { Status: 'Enabled' },
      LifecycleConfiguration: {
        Rules: [
          Match.objectLike({
            NoncurrentVersionExpiration: { NoncurrentDays: 35 },
            ExpiredObjectDeleteMarker: true,
            Status: 'Enabled',
          }),
        ],
      },
    });
  });

  test('locks checkpoints of audit logs away, from whoever holds the account too', () => {
    template.hasResourceProperties('AWS::S3::Bucket', {
      ObjectLockEnabled: true,
      ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: 'COMPLIANCE', Days: 365 } } },
    });
  });

  test('lets nobody read a bucket in public or without TLS', () => {
    const buckets = Object.keys(template.findResources('AWS::S3::Bucket'));
    expect(buckets).toHaveLength(3);
    template.allResourcesProperties('AWS::S3::Bucket', {
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
    });
    for (const bucket of buckets) {
      template.hasResourceProperties('AWS::S3::BucketPolicy', {
        Bucket: { Ref: bucket },
        PolicyDocument: Match.objectLike({
          Statement: Match.arrayWith([
            Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
          ]),
        }),
      });
    }
  });

  test('passes cdk-nag', () => {
    const app = makeApp();
    new DataStack(app, 'data');
    expect(() => app.synth()).not.toThrow();
  });

  // So that the test above proves something.
  test('would not pass cdk-nag with a bucket that anyone may read in the clear', () => {
    const app = makeApp();
    new Bucket(new Stack(app, 'careless'), 'Bucket');
    expect(() => app.synth()).toThrow('AwsSolutions-S10');
  });
});
