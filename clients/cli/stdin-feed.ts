import { fstatSync, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Client } from '../sdk/client.ts';
import { ApiError } from '../sdk/errors.ts';
import type { Terminal } from './terminal.ts';

/** Parts of this size keep requests few without much memory. */
const PART_BYTES = 256 * 1024;

/**
 * Whether there is input to pass on: a pipe, a socket, a file, a device. A terminal is for the person who waits, unless
 * asked for; /dev/null and a closed stdin have nothing.
 */
export const hasStdin = ({ stdin }: Pick<Terminal, 'stdin'>, { interactive }: { interactive: boolean }): boolean => {
  if (stdin.isTTY) return interactive;
  try {
    const stat = fstatSync(0);
    return stat.isFIFO() || stat.isSocket() || stat.isFile() || (stat.isCharacterDevice() && !isNull(stat.rdev));
  } catch {
    return false;
  }
};

const isNull = (device: number): boolean => statSync('/dev/null').rdev === device;

/**
 * Passes input on until it ends, or the command does, or `signal` aborts.
 * @throws ConnectionError, ApiError, or the fault of reading
 */
export const feedStdin = async (
  client: Pick<Client, 'writeStdin' | 'endStdin'>,
  id: string,
  { stdin }: { readonly stdin: Readable },
  signal: AbortSignal,
): Promise<void> => {
  const stop = () => stdin.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    let offset = 0;
    for await (const part of inParts(stdin)) {
      await client.writeStdin(id, part, offset, { signal });
      offset += part.length;
    }
    if (!signal.aborted) await client.endStdin(id, { signal });
  } catch (error) {
    // The command ended without reading the rest, as it may.
    if (signal.aborted || (error instanceof ApiError && error.code === 'already-final')) return;
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    // A producer that never ends must not keep this process.
    stdin.destroy();
  }
};

/** What came while the last part was under way goes together, within the size of a part. */
async function* inParts(stdin: Readable): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let length = 0;
  let over = false;
  let failure: Error | undefined;
  let wake = (): void => {};
  const finish = (error?: Error): void => {
    failure ??= error;
    over = true;
    wake();
  };
  stdin.on('data', (piece: Buffer) => {
    pieces.push(piece);
    length += piece.length;
    if (length >= PART_BYTES) stdin.pause();
    wake();
  });
  stdin.once('error', finish).once('end', finish).once('close', finish);
  for (;;) {
    if (length > 0) {
      const bytes = Buffer.concat(pieces);
      pieces = [];
      length = 0;
      stdin.resume();
      for (let at = 0; at < bytes.length; at += PART_BYTES) yield bytes.subarray(at, at + PART_BYTES);
    } else if (over) {
      if (failure) throw failure;
      return;
    } else {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
}
