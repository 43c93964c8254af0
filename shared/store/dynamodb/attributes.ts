import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { AppError } from '../../domain/errors.ts';
import { TABLE } from '../schema.ts';
import type { IndexName, Item, Key } from '../store.ts';

export type Attributes = Record<string, AttributeValue>;

/** The attributes that are not keys. `data` is JSON, `packed` the same deflated. */
const NAME = {
  version: 'version',
  data: 'data',
  packed: 'packed',
  bytes: 'bytes',
  expiresAtMs: 'expiresAtMs',
  writeId: 'writeId',
} as const;

/** Writes are billed by the KiB: from about here on packing makes most items fit into one. */
const PACK_FROM_BYTES = 600;
/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html#limits-items */
const MOST_ITEM_BYTES = 400 * 1024;

/** @throws TypeError when the data is no JSON; AppError 'too-large' when DynamoDB would not take it */
export const toAttributes = (item: Item, writeId: string): Attributes => {
  const { pk, sk, version, data, bytes, due, list, expiresAt } = item;
  const json: string | undefined = JSON.stringify(data);
  if (json === undefined) throw new TypeError(`The data of ${pk} ${sk} is no JSON`);
  const attributes: Attributes = {
    ...toKey(item),
    [NAME.version]: { N: String(version) },
    ...(json.length < PACK_FROM_BYTES
      ? { [NAME.data]: { S: json } }
      : { [NAME.packed]: { B: deflateRawSync(Buffer.from(json)) } }),
    ...(bytes === undefined ? {} : { [NAME.bytes]: { B: bytes } }),
    ...(due === undefined ? {} : toIndexKey('due', due)),
    ...(list === undefined ? {} : toIndexKey('list', list)),
    // Time to live is in seconds, and may only come later than what was asked for.
    ...(expiresAt === undefined
      ? {}
      : {
          [TABLE.expiresAt]: { N: String(Math.ceil(expiresAt / 1_000)) },
          [NAME.expiresAtMs]: { N: String(expiresAt) },
        }),
    [NAME.writeId]: { S: writeId },
  };
  const size = sizeOf(attributes);
  if (size <= MOST_ITEM_BYTES) return attributes;
  const detail = `What is to be stored under ${pk} ${sk} takes ${size} bytes; at most ${MOST_ITEM_BYTES} are possible.`;
  throw new AppError('too-large', `${detail} Send large input in parts to PUT /v1/commands/{id}/stdin.`);
};

export const toItem = (attributes: Attributes): Item => {
  const packed = attributes[NAME.packed]?.B;
  const json = packed ? inflateRawSync(packed).toString() : (attributes[NAME.data]?.S ?? 'null');
  const bytes = attributes[NAME.bytes]?.B;
  const due = fromIndexKey('due', attributes);
  const list = fromIndexKey('list', attributes);
  const expiresAt = attributes[NAME.expiresAtMs]?.N;
  return {
    ...fromKey(attributes),
    version: Number(attributes[NAME.version]?.N),
    data: JSON.parse(json),
    ...(bytes === undefined ? {} : { bytes }),
    ...(due === undefined ? {} : { due }),
    ...(list === undefined ? {} : { list }),
    ...(expiresAt === undefined ? {} : { expiresAt: Number(expiresAt) }),
  };
};

/** Which write made it what it is. */
export const writeIdOf = (attributes: Attributes | undefined): string | undefined => attributes?.[NAME.writeId]?.S;
export const versionAttribute = NAME.version;

export const toKey = ({ pk, sk }: Key): Attributes => ({
  [TABLE.partitionKey]: { S: pk },
  [TABLE.sortKey]: { S: sk },
});

export const fromKey = (attributes: Attributes): Key => ({
  pk: attributes[TABLE.partitionKey]?.S ?? '',
  sk: attributes[TABLE.sortKey]?.S ?? '',
});

const toIndexKey = (index: IndexName, { pk, sk }: Key): Attributes => {
  const { partitionKey, sortKey } = TABLE.indexes[index];
  return { [partitionKey]: { S: pk }, [sortKey]: { S: sk } };
};

export const fromIndexKey = (index: IndexName, attributes: Attributes): Key | undefined => {
  const { partitionKey, sortKey } = TABLE.indexes[index];
  const [pk, sk] = [attributes[partitionKey]?.S, attributes[sortKey]?.S];
  return pk === undefined || sk === undefined ? undefined : { pk, sk };
};

/** As DynamoDB counts it: names and values in UTF-8, binary as it is, a number in at most 21 bytes. */
const sizeOf = (attributes: Attributes): number =>
  Object.entries(attributes).reduce((sum, [name, { S, N, B }]) => {
    const value = S === undefined ? (B?.length ?? Math.min(21, (N?.length ?? 0) / 2 + 2)) : Buffer.byteLength(S);
    return sum + name.length + value;
  }, 0);
