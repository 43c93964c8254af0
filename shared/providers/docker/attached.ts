import type { Duplex } from 'node:stream';
import type { StreamName } from '../../domain/output.ts';

/** By the first byte of a frame's head (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach). */
const STREAMS: readonly (StreamName | undefined)[] = [undefined, 'stdout', 'stderr'];
const HEAD_BYTES = 8;

/**
 * Reads both streams of a container off one connection until it ends. More is read only when what came was taken.
 * @returns whether it ended between two frames; false also when it broke, or what came was no frame
 */
export const readFrames = async (
  connection: AsyncIterable<Buffer>,
  take: (stream: StreamName, bytes: Buffer) => Promise<void>,
): Promise<boolean> => {
  const head = Buffer.alloc(HEAD_BYTES);
  let headBytes = 0;
  let stream: StreamName | undefined;
  let left = 0;
  try {
    for await (const chunk of connection) {
      for (let at = 0; at < chunk.length; ) {
        if (left > 0 && stream) {
          const piece = chunk.subarray(at, at + left);
          await take(stream, piece);
          left -= piece.length;
          at += piece.length;
          continue;
        }
        const copied = chunk.copy(head, headBytes, at, at + HEAD_BYTES - headBytes);
        headBytes += copied;
        at += copied;
        if (headBytes < HEAD_BYTES) continue;
        headBytes = 0;
        stream = STREAMS[head.readUInt8(0)];
        left = head.readUInt32BE(4);
        if (!stream) return false;
      }
    }
    return headBytes === 0 && left === 0;
  } catch {
    return false;
  }
};

/**
 * Sends input as fast as the command takes it, and then its end. Input that cannot be read any further ends there.
 * @returns whether all of it was sent; false when the connection was closed before
 */
export const feedStdin = async (connection: Duplex, source: AsyncIterable<Uint8Array>): Promise<boolean> => {
  const { promise: closed, resolve } = Promise.withResolvers<'closed'>();
  connection.once('close', () => resolve('closed'));
  // Nothing is said here; but only who reads sees the end.
  connection.resume();
  const parts = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([parts.next(), closed]);
      if (next === 'closed') return false;
      if (next.done) break;
      if (!connection.write(next.value) && (await Promise.race([drained(connection), closed])) === 'closed')
        return false;
    }
  } catch {
    // As if it ended.
  }
  connection.end();
  return true;
};

const drained = (connection: Duplex): Promise<void> =>
  new Promise((resolve) => {
    connection.once('drain', resolve);
  });
