import type { Writable } from 'node:stream';
import type { Clock } from '../../shared/domain/clock.ts';
import { encodeRecord, type LastRecord, type StreamRecord } from '../../shared/providers/lambda/stream-frames.ts';

/** The response of one invocation. */
export interface InvocationResponse {
  /** Resolves once more may be written: waiting for it is the back-pressure. @throws Error when the stream broke */
  say(record: Exclude<StreamRecord, LastRecord>): Promise<void>;
  /** The last record. Resolves when all was handed over to Lambda, or cannot be. */
  end(record: LastRecord): Promise<void>;
}

const HEARTBEAT_MS = 8_000;

/** Says at once that the function lives, and again every few seconds. */
export const openResponse = (stream: Writable, clock: Clock): InvocationResponse => {
  const ended = new AbortController();
  stream.on('error', () => {}); // Whoever writes next is told.
  const write = (record: StreamRecord): boolean => {
    let ready = true;
    for (const piece of encodeRecord(record)) ready = stream.write(piece);
    return ready;
  };
  const beat = async (): Promise<void> => {
    while (!ended.signal.aborted && !stream.destroyed) {
      // Behind what still waits to be read, which is sign enough.
      if (!stream.writableNeedDrain) write({ kind: 'heartbeat' });
      await clock.sleep(HEARTBEAT_MS, ended.signal);
    }
  };
  void beat();
  return {
    async say(record) {
      if (stream.destroyed) throw new Error('The response stream broke.');
      if (write(record)) return;
      const { promise: drained, resolve, reject } = Promise.withResolvers<void>();
      const broke = () => reject(new Error('The response stream broke.'));
      stream.once('drain', resolve).once('close', broke);
      await drained.finally(() => stream.off('drain', resolve).off('close', broke));
    },
    async end(record) {
      ended.abort();
      if (stream.destroyed) return;
      const { promise: over, resolve } = Promise.withResolvers<void>();
      stream.once('finish', resolve).once('error', resolve).once('close', resolve);
      for (const piece of encodeRecord(record)) stream.write(piece);
      stream.end();
      await over;
    },
  };
};
