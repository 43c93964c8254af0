import type { Dice } from '../dice.ts';

type FileChange = { readonly offset: number; readonly bytes: Buffer } | { readonly truncatedTo: number };

/** A file's bytes: those that last, and what was done since. */
export interface ModelFile {
  /** So many of the changes were made before now; a sync that begins now covers them. */
  readonly changes: () => number;
  write(offset: number, bytes: Buffer): void;
  truncate(length: number): void;
  /** The first so many changes last from now on, counted from the first that was ever made. */
  last(changes: number): void;
  /** With all that was done to it. */
  whole(): Buffer;
  /** What a power failure may leave of it. */
  survives(dice: Dice): Buffer;
}

/** The smallest that a disk writes as a whole. */
const SECTOR_BYTES = 512;

export const modelFile = (bytes: Buffer = Buffer.alloc(0)): ModelFile => {
  let durable = bytes;
  let pending: FileChange[] = [];
  let lasting = 0;
  return {
    changes: () => lasting + pending.length,
    write: (offset, written) => void pending.push({ offset, bytes: written }),
    truncate: (truncatedTo) => void pending.push({ truncatedTo }),
    last(changes) {
      const done = pending.slice(0, Math.max(0, changes - lasting));
      if (done.length === 0) return;
      durable = apply(durable, done);
      pending = pending.slice(done.length);
      lasting += done.length;
    },
    whole: () => apply(durable, pending),
    survives: (dice) => apply(durable, survivors(pending, dice)),
  };
};

/** All, none, the first ones, or any: and of each what had reached the disk, sector by sector. */
const survivors = (pending: readonly FileChange[], dice: Dice): FileChange[] => {
  switch (dice.between(0, 3)) {
    case 0:
      return [];
    case 1:
      return [...pending];
    case 2: {
      const kept = pending.slice(0, dice.between(0, pending.length));
      const last = kept.pop();
      return last ? [...kept, ...torn(last, dice)] : kept;
    }
    default:
      return pending.flatMap((change) => {
        if (dice.chance(0.4)) return [change];
        return dice.chance(0.5) ? torn(change, dice) : lengthOnly(change, dice);
      });
  }
};

/** A prefix of it, or some of its sectors. */
const torn = (change: FileChange, dice: Dice): FileChange[] => {
  if ('truncatedTo' in change) return dice.chance(0.5) ? [change] : [];
  const { offset, bytes } = change;
  if (dice.chance(0.5)) return [{ offset, bytes: bytes.subarray(0, dice.between(0, bytes.length)) }];
  const sectors: FileChange[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + SECTOR_BYTES - ((offset + at) % SECTOR_BYTES));
    if (dice.chance(0.5)) sectors.push({ offset: offset + at, bytes: bytes.subarray(at, end) });
    at = end;
  }
  return sectors;
};

/** The file has grown, and what was to be there is not. */
const lengthOnly = (change: FileChange, dice: Dice): FileChange[] =>
  'bytes' in change && dice.chance(0.3)
    ? [{ offset: change.offset + change.bytes.length, bytes: Buffer.alloc(0) }]
    : [];

const apply = (before: Buffer, changes: readonly FileChange[]): Buffer => {
  let length = before.length;
  let most = before.length;
  for (const change of changes) {
    length = 'truncatedTo' in change ? change.truncatedTo : Math.max(length, change.offset + change.bytes.length);
    most = Math.max(most, length);
  }
  const bytes = Buffer.alloc(most);
  before.copy(bytes);
  let end = before.length;
  for (const change of changes) {
    if ('truncatedTo' in change) {
      // What is cut off is not there any more when the file grows again.
      if (change.truncatedTo < end) bytes.fill(0, change.truncatedTo, end);
      end = change.truncatedTo;
    } else {
      change.bytes.copy(bytes, change.offset);
      end = Math.max(end, change.offset + change.bytes.length);
    }
  }
  return bytes.subarray(0, end);
};
