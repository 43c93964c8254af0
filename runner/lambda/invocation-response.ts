import type { Writable } from 'node:stream';
import type { Clock } from '../../shared/domain/clock.ts';
import { encodeRecord, type LastRecord, type StreamRecord } from '../../shared/providers/lambda/stream-frames.ts';

/** The response of one invocation. */
export interface InvocationResponse {
  /** Resolves once more may be written, which is the back-pressure, or when it was left. @throws Error when the stream broke */
  say(record: Exclude<StreamRecord, LastRecord>): Promise<void>;
  /** Says the last record. The response stays open, since a function may end with it. */
  last(record: LastRecord): void;
  /** Says to whoever may still read that the rest is told elsewhere, as the last record. */
  leave(): void;
  /** Ends the response. Resolves when all was handed over to Lambda, or cannot be; when it was left it is not waited for. */
  close(): Promise<void>;
}

const HEARTBEAT_MS = 8_000;
/** A response that was left may be full of what nobody reads. */
const LEFT_CLOSE_MS = 500;

/** Says at once that the function lives, and again every few seconds. */
export const openResponse = (stream: Writable, clock: Clock): InvocationResponse => {
  const ended = new AbortController();
  const left = new AbortController();
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
  const last = (record: LastRecord): void => {
    if (ended.signal.aborted) return;
    ended.abort();
    if (!stream.destroyed) write(record);
  };
  return {
    async say(record) {
      if (stream.destroyed) throw new Error('The response stream broke.');
      if (write(record)) return;
      const { promise: drained, resolve, reject } = Promise.withResolvers<void>();
      const broke = () => reject(new Error('The response stream broke.'));
      const leave = () => resolve();
      stream.once('drain', resolve).once('close', broke);
      left.signal.addEventListener('abort', leave, { once: true });
      await drained.finally(() => {
        stream.off('drain', resolve).off('close', broke);
        left.signal.removeEventListener('abort', leave);
      });
    },
    last,
    leave() {
      last({ kind: 'left' });
      left.abort();
    },
    async close() {
      ended.abort();
      if (stream.destroyed) return;
      const { promise: over, resolve } = Promise.withResolvers<void>();
      const finished = new AbortController();
      stream.once('finish', resolve).once('error', resolve).once('close', resolve);
      stream.end();
      const tooLong = left.signal.aborted && clock.sleep(LEFT_CLOSE_MS, finished.signal);
      if (tooLong) void tooLong.then(() => !finished.signal.aborted && stream.destroy());
      await over;
      finished.abort();
    },
  };
};
