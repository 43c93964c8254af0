import type { Readable } from 'node:stream';
import type { StreamName } from '../../domain/output.ts';
import { WINDOW_BYTES } from './frames.ts';
import { elapsed } from './machine-time.ts';

/** What a command writes, passed on within its window. */
export interface CommandOutput {
  /** So many bytes were taken. */
  credit(bytes: number): void;
  /**
   * Resolves when all that was written has been passed on; also when nothing has come for `patienceMs`, as someone
   * outside of the command's tree may have been handed its pipes.
   */
  drained(patienceMs: number): Promise<void>;
}

/** A full window pauses the command's pipes, and so in time the command. */
export const passOn = (
  streams: Readonly<Record<StreamName, Readable>>,
  output: (stream: StreamName, bytes: Buffer) => void,
): CommandOutput => {
  const both = Object.values(streams);
  let window = WINDOW_BYTES;
  let movedAt = elapsed();
  for (const name of ['stdout', 'stderr'] as const) {
    streams[name].on('data', (bytes: Buffer) => {
      movedAt = elapsed();
      window -= bytes.length;
      if (window <= 0) for (const stream of both) stream.pause();
      output(name, bytes);
    });
    // A read error leaves nothing to be read; `close` follows.
    streams[name].on('error', () => {});
  }
  const closed = Promise.all(both.map((stream) => new Promise<void>((resolve) => stream.once('close', resolve))));

  return {
    credit(bytes) {
      movedAt = elapsed();
      const wasFull = window <= 0;
      window += bytes;
      if (wasFull && window > 0) for (const stream of both) stream.resume();
    },
    async drained(patienceMs) {
      let timer: NodeJS.Timeout | undefined;
      const silence = new Promise<void>((resolve) => {
        const lookIn = (milliseconds: number): void => {
          timer = setTimeout(() => {
            // While the window is full, bytes wait in the pipe for whoever takes them.
            const leftMs = window <= 0 ? patienceMs : movedAt + patienceMs - elapsed();
            if (leftMs > 0) lookIn(leftMs);
            else resolve();
          }, milliseconds);
        };
        lookIn(patienceMs);
      });
      await Promise.race([closed, silence]);
      clearTimeout(timer);
      for (const stream of both) stream.destroy();
    },
  };
};
