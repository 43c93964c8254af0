import { type DynamoDBClient, paginateScan } from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, paginateListObjectsV2, type S3Client } from '@aws-sdk/client-s3';
import type { Said } from '../../canaries/leaks.ts';

const asBase64 = (_: string, value: unknown): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;

/** All that is in a table; bytes as they are, and what lies beside them as JSON. */
export const itemsIn = async (client: DynamoDBClient, table: string): Promise<readonly Said[]> => {
  const said: Said[] = [];
  for await (const { Items = [] } of paginateScan({ client }, { TableName: table })) {
    for (const item of Items) {
      const where = `the item ${JSON.stringify(item['pk'])} ${JSON.stringify(item['sk'])}`;
      const bytes = Object.values(item).flatMap(({ B }) => (B ? [Buffer.from(B)] : []));
      said.push(...[Buffer.from(JSON.stringify(item, asBase64)), ...bytes].map((one) => ({ where, bytes: one })));
    }
  }
  return said;
};

/** All that is in a bucket. */
export const objectsIn = async (client: S3Client, bucket: string): Promise<readonly Said[]> => {
  const said: Said[] = [];
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket: bucket })) {
    for (const { Key = '' } of Contents) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key }));
      said.push({ where: `the object ${Key}`, bytes: Buffer.from((await Body?.transformToByteArray()) ?? []) });
    }
  }
  return said;
};
