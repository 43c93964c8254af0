import { readFileSync } from 'node:fs';

/** What recording-disk.c writes down, in the order in which it happened. Paths are absolute. */
export type Change =
  | { readonly kind: 'created' | 'opened'; readonly ino: bigint; readonly path: string }
  | { readonly kind: 'wrote'; readonly ino: bigint; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'truncated'; readonly ino: bigint; readonly length: number }
  /** `ino` is 0 for a folder. */
  | { readonly kind: 'syncBegins'; readonly ino: bigint; readonly sync: bigint; readonly path: string }
  | { readonly kind: 'syncEnds'; readonly sync: bigint }
  | { readonly kind: 'renamed' | 'linked'; readonly path: string; readonly to: string }
  | { readonly kind: 'unlinked' | 'madeFolder' | 'removedFolder'; readonly path: string };

const KINDS = [
  '',
  'created',
  'opened',
  'wrote',
  'truncated',
  'syncBegins',
  'syncEnds',
  'renamed',
  'linked',
  'unlinked',
  'madeFolder',
  'removedFolder',
] as const satisfies readonly ('' | Change['kind'])[];
const HEAD_BYTES = 33;

/** The changes of a process. One that was killed may have left the last record unfinished: that change is not told of. */
export const readRecord = function* (file: string): Generator<Change> {
  const record = readFileSync(file);
  for (let at = 0; at + HEAD_BYTES <= record.length; ) {
    const end = at + 4 + record.readUInt32LE(at);
    if (end > record.length) return;
    const kind = KINDS[record.readUInt8(at + 4)];
    const ino = record.readBigUInt64LE(at + 5);
    const number = record.readBigUInt64LE(at + 13);
    const [first, second] = [record.readUInt32LE(at + 21), record.readUInt32LE(at + 25)];
    const path = record.toString('utf8', at + HEAD_BYTES, at + HEAD_BYTES + first);
    const to = record.toString('utf8', at + HEAD_BYTES + first, at + HEAD_BYTES + first + second);
    const bytes = record.subarray(at + HEAD_BYTES + first + second, end);
    at = end;
    switch (kind) {
      case 'wrote':
        yield { kind, ino, offset: Number(number), bytes };
        break;
      case 'truncated':
        yield { kind, ino, length: Number(number) };
        break;
      case 'syncBegins':
        yield { kind, ino, sync: number, path };
        break;
      case 'syncEnds':
        yield { kind, sync: number };
        break;
      case 'created':
      case 'opened':
        yield { kind, ino, path };
        break;
      case 'renamed':
      case 'linked':
        yield { kind, path, to };
        break;
      case 'unlinked':
      case 'madeFolder':
      case 'removedFolder':
        yield { kind, path };
        break;
      default:
        throw new Error(`The record of the disk has a kind of change that nobody knows, before byte ${end}`);
    }
  }
};
