import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Dice } from '../dice.ts';
import { type ModelFile, modelFile } from './file-model.ts';
import type { Change } from './record.ts';

/** A folder's names: those that last, and what was done since, in order. */
interface ModelFolder {
  readonly durable: Map<string, ModelNode>;
  readonly live: Map<string, ModelNode>;
  pending: NameChange[];
}
type ModelNode = { readonly file: ModelFile } | { readonly folder: ModelFolder };
/** `node` undefined: the name is removed. `from`: it was there before, and is not any more once it is here. */
interface NameChange {
  readonly name: string;
  readonly node: ModelNode | undefined;
  readonly from?: { readonly folder: ModelFolder; readonly name: string };
}

/**
 * The strictest disk that POSIX allows: bytes last once their file was synced, names once their folder was, each folder's in the
 * order of their changes; a rename is whole or not at all. Syncing a file says nothing of its name.
 */
export interface DiskModel {
  /** @throws Error when it does not fit what is there: something changed the files and was not recorded */
  apply(change: Change): void;
  /** Writes down what a power failure now may leave, into a folder that is not there yet. */
  cut(target: string, dice: Dice): void;
  /** Writes down all that was done. */
  whole(target: string): void;
}

export interface ModelOptions {
  /** What the record's paths begin with. */
  readonly root: string;
  /** A copy of what was below the root when the record began: all of it lasts. */
  readonly from: string;
  /** The syncs that the disk says it did, and did not do. @default none */
  readonly ignores?: 'files' | 'folders' | undefined;
  /** What others change too, and is left out. */
  readonly isOutside: (path: string) => boolean;
}

const makeFolder = (): ModelFolder => ({ durable: new Map(), live: new Map(), pending: [] });

export const modelDisk = ({ root, from: copy, ignores, isOutside }: ModelOptions): DiskModel => {
  const top = readFolder(copy);
  const byIno = new Map<bigint, ModelFile>();
  const syncs = new Map<bigint, () => void>();

  const folderAt = (path: string): ModelFolder => {
    if (path === root) return top;
    const node = folderAt(dirname(path)).live.get(basename(path));
    if (!node || !('folder' in node)) throw new Error(`The record tells of the folder ${path}, which nobody made`);
    return node.folder;
  };
  const change = (path: string, node: ModelNode | undefined, from?: NameChange['from']): void => {
    const folder = folderAt(dirname(path));
    const name = basename(path);
    if (node) folder.live.set(name, node);
    else folder.live.delete(name);
    folder.pending.push({ name, node, ...(from ? { from } : {}) });
  };
  const nodeAt = (path: string): ModelNode => {
    const node = folderAt(dirname(path)).live.get(basename(path));
    if (!node) throw new Error(`The record tells of ${path}, which nobody made`);
    return node;
  };
  /** Undefined for what is outside. */
  const fileOf = (ino: bigint): ModelFile | undefined => byIno.get(ino);

  /** What lasts when the sync that begins now has ended. */
  const coverage = (path: string, ino: bigint): (() => void) => {
    const file = byIno.get(ino);
    if (file) {
      const count = file.changes();
      return () => file.last(count);
    }
    const folder = folderAt(path);
    const covered = new Set(folder.pending);
    return () => {
      for (const one of folder.pending) if (covered.has(one)) applyName(one, folder);
      folder.pending = folder.pending.filter((one) => !covered.has(one));
    };
  };

  const isIgnored = (ino: bigint): boolean => ignores !== undefined && (ignores === 'files') === byIno.has(ino);

  return {
    apply(one) {
      if ('path' in one && isOutside(one.path)) return;
      switch (one.kind) {
        case 'created': {
          const file = modelFile();
          byIno.set(one.ino, file);
          return change(one.path, { file });
        }
        case 'opened': {
          const node = nodeAt(one.path);
          if ('file' in node) byIno.set(one.ino, node.file);
          return;
        }
        case 'wrote':
          return fileOf(one.ino)?.write(one.offset, one.bytes);
        case 'truncated':
          return fileOf(one.ino)?.truncate(one.length);
        case 'syncBegins':
          return void (isIgnored(one.ino) || syncs.set(one.sync, coverage(one.path, one.ino)));
        case 'syncEnds':
          syncs.get(one.sync)?.();
          return void syncs.delete(one.sync);
        case 'renamed': {
          const node = nodeAt(one.path);
          const from = { folder: folderAt(dirname(one.path)), name: basename(one.path) };
          from.folder.live.delete(from.name);
          return change(one.to, node, from);
        }
        case 'linked':
          return change(one.to, nodeAt(one.path));
        case 'madeFolder':
          return change(one.path, { folder: makeFolder() });
        case 'unlinked':
        case 'removedFolder':
          return change(one.path, undefined);
      }
    },
    cut(target, dice) {
      const names = cutNames(top, dice);
      write(names, target, (file) => file.survives(dice));
    },
    whole: (target) => write(liveNames(top), target, (file) => file.whole()),
  };
};

/** As if its folder was synced. */
const applyName = ({ name, node, from }: NameChange, { durable }: ModelFolder): void => {
  if (node) durable.set(name, node);
  else durable.delete(name);
  if (from && from.folder.durable.get(from.name) === node) from.folder.durable.delete(from.name);
};

type Names = Map<string, ModelFile | Names>;

/** Each folder has kept some of the changes to its names: the first ones. */
const cutNames = (top: ModelFolder, dice: Dice): Names => {
  const folders: ModelFolder[] = [];
  const collect = (folder: ModelFolder): void => {
    if (folders.includes(folder)) return;
    folders.push(folder);
    for (const node of [...folder.durable.values(), ...folder.pending.map(({ node }) => node)]) {
      if (node && 'folder' in node) collect(node.folder);
    }
  };
  collect(top);
  for (const folder of folders) {
    const kept = dice.oneOf([0, folder.pending.length, dice.between(0, folder.pending.length)]);
    for (const one of folder.pending.slice(0, kept)) applyName(one, folder);
  }
  return durableNames(top);
};

const durableNames = ({ durable }: ModelFolder): Names =>
  new Map([...durable].map(([name, node]) => [name, 'file' in node ? node.file : durableNames(node.folder)]));
const liveNames = ({ live }: ModelFolder): Names =>
  new Map([...live].map(([name, node]) => [name, 'file' in node ? node.file : liveNames(node.folder)]));

const write = (names: Names, target: string, bytesOf: (file: ModelFile) => Buffer): void => {
  mkdirSync(target, { recursive: true, mode: 0o700 });
  for (const [name, node] of names) {
    const path = join(target, name);
    if (node instanceof Map) write(node, path, bytesOf);
    else writeFileSync(path, bytesOf(node), { mode: 0o600 });
  }
};

const readFolder = (path: string): ModelFolder => {
  const folder = makeFolder();
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const below = join(path, entry.name);
    const node = entry.isDirectory() ? { folder: readFolder(below) } : { file: modelFile(readFileSync(below)) };
    folder.durable.set(entry.name, node);
    folder.live.set(entry.name, node);
  }
  return folder;
};
