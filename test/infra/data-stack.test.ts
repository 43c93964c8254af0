import { App } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { DataStack } from '../../infra/data-stack.ts';
import { TABLE } from '../../shared/store/schema.ts';

describe('the data stack', () => {
  const template = Template.fromStack(new DataStack(new App(), 'data'));
  const [table] = Object.values(template.findResources('AWS::DynamoDB::GlobalTable'));

  test('has exactly the keys and indexes of the schema', () => {
    expect(table?.['Properties'].KeySchema).toEqual([
      { AttributeName: TABLE.partitionKey, KeyType: 'HASH' },
      { AttributeName: TABLE.sortKey, KeyType: 'RANGE' },
    ]);
    expect(
      table?.['Properties'].GlobalSecondaryIndexes.map((index: { IndexName: string; KeySchema: unknown }) => [
        index.IndexName,
        index.KeySchema,
      ]),
    ).toEqual(
      Object.entries(TABLE.indexes).map(([name, { partitionKey, sortKey }]) => [
        name,
        [
          { AttributeName: partitionKey, KeyType: 'HASH' },
          { AttributeName: sortKey, KeyType: 'RANGE' },
        ],
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
            PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
          }),
        ],
      },
    });
    template.hasResource('AWS::S3::Bucket', { DeletionPolicy: 'Retain' });
  });

  test('lets nobody read objects in public or without TLS', () => {
    template.hasResourceProperties('AWS::S3::Bucket', {
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
    });
    template.hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: Match.objectLike({
        Statement: Match.arrayWith([
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        ]),
      }),
    });
  });
});
