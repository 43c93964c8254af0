import { closeSync, openSync, readSync } from 'node:fs';

/** What is searched for, and what to call it when it is found. */
export interface Needle {
  readonly name: string;
  /** At least two bytes. */
  readonly bytes: Buffer;
  /** Whether these bytes at this place are it. @default always */
  readonly isIt?: (bytes: Buffer, at: number) => boolean;
}

/** The names of all needles that are in the bytes. */
export type Search = (bytes: Buffer) => ReadonlySet<string>;

/** Looks for all of them in one pass: by the two bytes that each begins with. */
export const makeSearch = (needles: readonly Needle[]): Search => {
  const begins = new Uint8Array(65_536);
  const byBeginning = new Map<number, Needle[]>();
  for (const needle of needles) {
    const beginning = needle.bytes.readUInt16BE();
    begins[beginning] = 1;
    byBeginning.set(beginning, [...(byBeginning.get(beginning) ?? []), needle]);
  }
  const isAt = (needle: Needle, bytes: Buffer, at: number): boolean => {
    const end = at + needle.bytes.length;
    if (end > bytes.length || bytes.compare(needle.bytes, 0, needle.bytes.length, at, end) !== 0) return false;
    return needle.isIt?.(bytes, at) ?? true;
  };
  return (bytes) => {
    const found = new Set<string>();
    let two = bytes[0] ?? 0;
    for (let next = 1; next < bytes.length; next++) {
      two = ((two << 8) | (bytes[next] as number)) & 0xffff;
      if (begins[two] === 0) continue;
      for (const needle of byBeginning.get(two) ?? []) if (isAt(needle, bytes, next - 1)) found.add(needle.name);
    }
    return found;
  };
};

const PIECE_BYTES = 4 * 1024 * 1024;
/** No needle, with all that `isIt` looks at, is longer. */
const OVERLAP_BYTES = 4 * 1024;

/** The same for a file of any size. */
export const searchFile = (search: Search, file: string): ReadonlySet<string> => {
  const found = new Set<string>();
  const descriptor = openSync(file, 'r');
  try {
    const buffer = Buffer.allocUnsafe(PIECE_BYTES);
    for (let kept = 0; ; ) {
      const read = readSync(descriptor, buffer, kept, buffer.length - kept, null);
      for (const name of search(buffer.subarray(0, kept + read))) found.add(name);
      if (read === 0) return found;
      const end = kept + read;
      kept = Math.min(OVERLAP_BYTES, end);
      buffer.copy(buffer, 0, end - kept, end);
    }
  } finally {
    closeSync(descriptor);
  }
};
