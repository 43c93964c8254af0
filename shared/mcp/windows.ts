import * as z from 'zod';
import type { OpenOutput } from '../app/open-output.ts';
import { toSafeText } from './safe-text.ts';

/** What a model is shown of a stream: all of it, or its beginning and its end. */
export const WindowView = z.object({
  text: z
    .string()
    .describe('UTF-8, what cannot be seen written out as \\u{…}. Where bytes are omitted, a line says so.'),
  totalBytes: z.int(),
  omittedBytes: z.int(),
  omittedFrom: z.int().nullable().describe('Byte at which read_output goes on with what is omitted.'),
});
export type WindowView = z.output<typeof WindowView>;

type Readable = Pick<OpenOutput, 'size' | 'read'>;

/** At most so many bytes: a quarter from the beginning, the rest from the end, where most is said. No character is cut. */
export const windowOf = async (output: Readable, stream: string, mostBytes: number): Promise<WindowView> => {
  const { size } = output;
  if (size <= mostBytes) {
    return { text: toText(await readBytes(output, 0, size)), totalBytes: size, omittedBytes: 0, omittedFrom: null };
  }
  const headBytes = Math.floor(mostBytes / 4);
  const head = withoutCutEnd(await readBytes(output, 0, headBytes));
  const tail = withoutCutStart(await readBytes(output, size - (mostBytes - headBytes), size));
  const omittedBytes = size - head.length - tail.length;
  const mark = `[${omittedBytes} bytes are omitted here: read_output with stream ${stream} and from ${head.length}]`;
  return {
    text: `${toText(head)}\n${mark}\n${toText(tail)}`,
    totalBytes: size,
    omittedBytes,
    omittedFrom: head.length,
  };
};

export const readBytes = async (output: Readable, from: number, to: number): Promise<Buffer> => {
  const pieces: Uint8Array[] = [];
  for await (const piece of output.read(from, to)) pieces.push(piece);
  return Buffer.concat(pieces);
};

export const toText = (bytes: Uint8Array): string => toSafeText(new TextDecoder().decode(bytes));

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;
/** How many bytes the UTF-8 character has that begins so. */
const lengthOf = (first: number): number => (first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1);

/** Less a character at the end of which only a part is there. */
export const withoutCutEnd = (bytes: Buffer): Buffer => {
  let start = bytes.length - 1;
  while (start >= 0 && start > bytes.length - 4 && isContinuation(bytes[start])) start--;
  const first = bytes[start];
  return first !== undefined && start + lengthOf(first) > bytes.length ? bytes.subarray(0, start) : bytes;
};

/** Less the rest of a character that began before. */
const withoutCutStart = (bytes: Buffer): Buffer => {
  let start = 0;
  while (start < 3 && isContinuation(bytes[start])) start++;
  return bytes.subarray(start);
};
