import { ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { s3Client, s3Objects } from '../../shared/objects/s3.ts';
import { type Fault, faultProxy } from '../support/fault-proxy.ts';
import { AWS, startFauxqs } from '../support/fauxqs.ts';
import { objectsContract } from './objects-contract.ts';

const MiB = 1024 * 1024;

const fauxqs = await startFauxqs();
const client = s3Client({ ...AWS, endpoint: fauxqs.endpoint });
afterAll(() => client.destroy());

const clientOf = (endpoint: string): S3Client => {
  const own = s3Client({ ...AWS, endpoint, answerMs: 800 });
  onTestFinished(() => own.destroy());
  return own;
};

const open = () => {
  const bucket = fauxqs.createBucket();
  return { bucket, objects: s3Objects({ client, bucket }) };
};

// fauxqs takes no more than 11 MiB in one request.
objectsContract('S3', async () => open().objects, { largestBytes: 10 * MiB });

describe('objects in S3', () => {
  test('1,500 objects below a prefix are removed, and nothing beside it', async () => {
    const { bucket, objects } = open();
    const keys = Array.from({ length: 1_500 }, (_, n) => `t/1/${String(n).padStart(5, '0')}`);
    const rest = [...keys, 't/10/a'].values();
    const putRest = async () => {
      for (const key of rest) await objects.put(key, Buffer.from(key));
    };
    await Promise.all(Array.from({ length: 16 }, putRest));
    const proxy = await faultProxy(fauxqs.endpoint);
    await s3Objects({ client: clientOf(proxy.endpoint), bucket }).removeAll('t/1/');
    expect(proxy.seen.map(({ method }) => method)).toEqual(['GET', 'POST', 'GET', 'POST']);
    const left = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    expect(left.Contents?.map(({ Key }) => Key)).toEqual(['t/10/a']);
  });

  test('bytes that are a view of others are stored alone', async () => {
    const { objects } = open();
    await objects.put('a', Buffer.from('0123456789').subarray(2, 5));
    expect(Buffer.from(await objects.get('a')).toString()).toBe('234');
  });
});

/** A 200, as S3 answers also when it removed nothing. */
const deleteResult = (key: string, code: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?><DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Error><Key>${key}</Key><Code>${code}</Code><Message>no</Message></Error></DeleteResult>`;

describe('when S3 fails', () => {
  const unavailable = { name: 'AppError', code: 'unavailable', message: expect.stringContaining('Try again') };

  const openFailing = async (fault: Fault, times?: number) => {
    const { bucket, objects } = open();
    await objects.put('a/b', Buffer.alloc(1_000, 'x'));
    const proxy = await faultProxy(fauxqs.endpoint);
    proxy.fail(fault, times);
    return { proxy, objects: s3Objects({ client: clientOf(proxy.endpoint), bucket }), direct: objects };
  };

  describe.for<Fault>(['reset', 'lost', 'hang', 'dawdle', 'error'])('%s', (fault) => {
    test('put, get and removeAll say so in bounded time', async () => {
      const { objects } = await openFailing(fault);
      const before = performance.now();
      const calls = {
        put: objects.put('a/c', Buffer.alloc(100_000)),
        get: objects.get('a/b'),
        range: objects.get('a/b', { offset: 1, length: 1 }),
        removeAll: objects.removeAll('a/'),
      };
      for (const call of await Promise.allSettled(Object.values(calls))) {
        expect(call).toMatchObject({ status: 'rejected', reason: unavailable });
      }
      expect(performance.now() - before).toBeLessThan(8_000);
    });

    test('what fails twice goes through', async () => {
      const { objects, proxy, direct } = await openFailing(fault, 2);
      await objects.put('a/c', Buffer.from('y'));
      expect(Buffer.from(await direct.get('a/c')).toString()).toBe('y');
      proxy.fail(fault, 2);
      expect(await objects.get('a/b')).toHaveLength(1_000);
      proxy.fail(fault, 2);
      await objects.removeAll('a/');
      await expect(direct.get('a/b')).rejects.toThrow('missing');
    });
  });

  test.for<Fault>(['cut', 'stall'])('%s in the middle of the bytes: never fewer than there are', async (fault) => {
    const { objects, proxy } = await openFailing(fault);
    await expect(objects.get('a/b')).rejects.toMatchObject(unavailable);
    await expect(objects.get('a/b', { offset: 0, length: 900 })).rejects.toMatchObject(unavailable);
    proxy.fail(fault, 1);
    expect(Buffer.from(await objects.get('a/b')).equals(Buffer.alloc(1_000, 'x'))).toBe(true);
  });

  test('a key that cannot be removed is tried again with the next pass', async () => {
    const { objects, bucket } = open();
    for (const key of ['a/b', 'a/c']) await objects.put(key, Buffer.from('x'));
    const proxy = await faultProxy(fauxqs.endpoint);
    proxy.answer('POST', deleteResult('a/b', 'InternalError'), 1);
    await s3Objects({ client: clientOf(proxy.endpoint), bucket }).removeAll('a/');
    await expect(objects.get('a/b')).rejects.toThrow('missing');
    await expect(objects.get('a/c')).rejects.toThrow('missing');
  });

  test('a key that cannot be removed at all is told, with what to do', async () => {
    const { objects, bucket } = open();
    await objects.put('a/b', Buffer.from('x'));
    const proxy = await faultProxy(fauxqs.endpoint);
    proxy.answer('POST', deleteResult('a/b', 'AccessDenied'));
    await expect(s3Objects({ client: clientOf(proxy.endpoint), bucket }).removeAll('a/')).rejects.toMatchObject({
      name: 'AppError',
      code: 'unavailable',
      message: expect.stringMatching(/^The object a\/ cannot be removed \(AccessDenied\)\. Allow this role/),
      cause: { message: expect.stringContaining('a/b and 0 more are left') },
    });
  });

  test('what is missing is told as missing, without the name of the bucket', async () => {
    const { objects, bucket } = open();
    const error = await objects.get('a/none').catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'unavailable', cause: { name: 'NoSuchKey' } });
    expect(error.message).toBe(
      'The object a/none cannot be read (NoSuchKey). It is missing: it was removed, or never stored.',
    );
    expect(error.message).not.toContain(bucket);
  });

  test('a bucket that is not there is told with what to do', async () => {
    const objects = s3Objects({ client, bucket: 'none' });
    const told = { code: 'unavailable', message: expect.stringContaining('Deploy the bucket') };
    await expect(objects.put('a', Buffer.from(''))).rejects.toMatchObject(told);
    await expect(objects.removeAll('a/')).rejects.toMatchObject(told);
  });
});
