import {
  type _Error as DeleteFailure,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { AppError } from '../domain/errors.ts';
import { type ByteRange, type Objects, requireKey, requirePrefix, requireRange } from './objects.ts';

const CONNECT_MS = 1_000;
const ANSWER_MS = 10_000;
const TRIES = 3;

export interface S3ClientOptions {
  readonly region: string;
  /** Where S3 is, if not where AWS has it in that region. The bucket is then in the path: such hosts lack its name. */
  readonly endpoint?: string;
  /** @default those that the SDK finds: the role of the function */
  readonly credentials?: NonNullable<S3ClientConfig['credentials']>;
  /** For one object to go up or its first byte to come, and for the longest silence after that. @default 10,000 */
  readonly answerMs?: number;
}

/** A client that gives up after three tries, each of them bounded. */
export const s3Client = ({ answerMs = ANSWER_MS, ...options }: S3ClientOptions): S3Client =>
  new S3Client({
    ...options,
    forcePathStyle: options.endpoint !== undefined,
    maxAttempts: TRIES,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: answerMs,
      socketTimeout: answerMs,
      // Without it the SDK writes a warning, and goes on waiting.
      throwOnRequestTimeout: true,
    },
  });

/**
 * Objects in a bucket. A put replaces what is there, so it can be repeated; the SDK checks its bytes by CRC-32 on the
 * way up, and those of a whole object on the way down. Removing takes two requests for each 1,000 objects.
 * The details of errors hold no bucket, account or role, since callers of the API may see them: the cause does.
 */
export const s3Objects = ({ client, bucket }: { readonly client: S3Client; readonly bucket: string }): Objects => {
  const readWhole = async (key: string, range: string | undefined): Promise<Uint8Array> => {
    for (let tries = 1; ; tries++) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key, Range: range }));
      try {
        return (await Body?.transformToByteArray()) ?? new Uint8Array();
      } catch (error) {
        // The SDK's own retries end where the body begins.
        if (tries === TRIES) throw error;
      }
    }
  };

  const readRange = async (key: string, { offset, length }: ByteRange): Promise<Uint8Array> => {
    // A range of no bytes cannot be asked for, but whether the object is there must be.
    const last = Math.min(offset + Math.max(1, length) - 1, Number.MAX_SAFE_INTEGER);
    try {
      return (await readWhole(key, `bytes=${offset}-${last}`)).subarray(0, length);
    } catch (error) {
      if (nameOf(error) === 'InvalidRange') return new Uint8Array();
      throw error;
    }
  };

  /** Past what cannot be removed too, so that as little as possible is left; resolves with the failures. */
  const removeBelow = async (prefix: string): Promise<readonly DeleteFailure[]> => {
    const failures: DeleteFailure[] = [];
    let next: string | undefined;
    do {
      const page = await client.send(
        new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: next }),
      );
      const listed = (page.Contents ?? []).map(({ Key }) => ({ Key }));
      if (listed.length > 0) {
        const { Errors = [] } = await client.send(
          new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: listed, Quiet: true } }),
        );
        failures.push(...Errors);
      }
      next = page.NextContinuationToken;
    } while (next !== undefined);
    return failures;
  };

  /** The SDK repeats requests that fail, not keys that fail within one that succeeds. */
  const removeStubbornly = async (prefix: string): Promise<void> => {
    for (let tries = 1; ; tries++) {
      const [failure, ...more] = await removeBelow(prefix);
      if (!failure) return;
      if (tries < TRIES) continue;
      const message = `${failure.Key} and ${more.length} more are left: ${failure.Message}`;
      throw Object.assign(new Error(message), { name: failure.Code ?? 'unknown error' });
    }
  };

  return {
    async put(key, bytes) {
      requireKey(key);
      try {
        await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
      } catch (error) {
        throw unavailable(key, 'written', error);
      }
    },

    async get(key, range) {
      requireKey(key);
      if (range) requireRange(range);
      try {
        return await (range ? readRange(key, range) : readWhole(key, undefined));
      } catch (error) {
        throw unavailable(key, 'read', error);
      }
    },

    async removeAll(prefix) {
      requirePrefix(prefix);
      try {
        await removeStubbornly(prefix);
      } catch (error) {
        throw unavailable(prefix, 'removed', error);
      }
    },
  };
};

const PERMIT = 'Allow this role s3:GetObject, s3:PutObject and s3:DeleteObject on the bucket, and s3:ListBucket of it.';
const SIGN_IN = 'Give this process valid AWS credentials.';

/** By the name of the SDK's error (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html). */
const ADVICE: Readonly<Record<string, string>> = {
  NoSuchKey: 'It is missing: it was removed, or never stored.',
  NoSuchBucket: 'Deploy the bucket, or correct its name and the region.',
  PermanentRedirect: 'Correct the region: the bucket is in another.',
  // Also what S3 says of a missing object to somebody who may not list.
  AccessDenied: PERMIT,
  SlowDown: 'Too many requests: try again later.',
  CredentialsProviderError: SIGN_IN,
  ExpiredToken: SIGN_IN,
  InvalidAccessKeyId: SIGN_IN,
  SignatureDoesNotMatch: SIGN_IN,
};

const unavailable = (key: string, done: string, cause: unknown): AppError => {
  const name = nameOf(cause);
  const advice = ADVICE[name] ?? 'Try again; if it stays so, see whether S3 can be reached from here.';
  return new AppError('unavailable', `The object ${key} cannot be ${done} (${name}). ${advice}`, { cause });
};

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : 'unknown error');
