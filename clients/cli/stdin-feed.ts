import { fstatSync } from 'node:fs';
import type { Client } from '../sdk/client.ts';
import { ApiError } from '../sdk/errors.ts';
import type { Terminal } from './terminal.ts';

/** Parts of this size keep few requests under way without much memory. */
const PART_BYTES = 256 * 1024;

/**
 * Whether there is input to pass on: a pipe, a file or a socket. A terminal is for the person who waits, unless
 * asked for; /dev/null and a closed stdin have nothing.
 */
export const hasStdin = ({ stdin }: Pick<Terminal, 'stdin'>, { interactive }: { interactive: boolean }): boolean => {
  if (stdin.isTTY) return interactive;
  try {
    const stat = fstatSync(0);
    return stat.isFIFO() || stat.isSocket() || (stat.isFile() && stat.size > 0);
  } catch {
    return false;
  }
};

/** Passes input on until it ends, or the command does, or `signal` aborts. */
export const feedStdin = async (
  client: Client,
  id: string,
  { stdin }: Pick<Terminal, 'stdin'>,
  signal: AbortSignal,
): Promise<void> => {
  const stop = () => stdin.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    let offset = 0;
    for await (const piece of inParts(stdin)) {
      await client.writeStdin(id, piece, offset);
      offset += piece.length;
    }
    if (!signal.aborted) await client.endStdin(id);
  } catch (error) {
    // The command ended without reading the rest, as it may.
    if (signal.aborted || (error instanceof ApiError && error.code === 'already-final')) return;
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    stdin.destroy();
  }
};

/** What has come by the time that the last part was taken goes together, within the size of a part. */
async function* inParts(stdin: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  for await (const piece of stdin) {
    const bytes = piece as Buffer;
    for (let at = 0; at < bytes.length; at += PART_BYTES) yield bytes.subarray(at, at + PART_BYTES);
  }
}
