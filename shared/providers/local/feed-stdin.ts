import { frame, WINDOW_BYTES } from './frames.ts';

/** Hands the pieces of frames to a helper. */
export type Send = (pieces: readonly Uint8Array[]) => void;

export interface StdinFeed {
  /** So many bytes were taken by the command. */
  taken(bytes: number): void;
  /** The command takes no more. */
  stop(): void;
}

/** Larger pieces would overrun the window. */
const PIECE_BYTES = 64 * 1024;

/**
 * Sends input to a command within its window, as fast as the command takes it, and then its end. Input that cannot be
 * read any further ends there: the command then ends too, or has its time-out.
 */
export const feedStdin = (run: number, source: AsyncIterable<Uint8Array>, send: Send): StdinFeed => {
  let window = WINDOW_BYTES;
  let stopped = false;
  let roomAgain = (): void => {};
  const room = async (): Promise<void> => {
    while (window <= 0 && !stopped) {
      await new Promise<void>((resolve) => {
        roomAgain = resolve;
      });
    }
  };
  const feed = async (): Promise<void> => {
    for await (const bytes of source) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        await room();
        if (stopped) return;
        const piece = bytes.subarray(at, at + PIECE_BYTES);
        window -= piece.length;
        send(frame('stdin', run, piece));
      }
      // The next part is asked for only when it can be sent.
      await room();
      if (stopped) return;
    }
  };
  const sendEnd = (): void => {
    if (!stopped) send(frame('stdinEnd', run));
  };
  void feed().then(sendEnd, sendEnd);
  return {
    taken(bytes) {
      window += bytes;
      roomAgain();
    },
    stop() {
      stopped = true;
      roomAgain();
    },
  };
};
