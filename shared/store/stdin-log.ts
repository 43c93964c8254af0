import type { Random } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import type { Changes } from '../events/changes.ts';
import type { Objects } from '../objects/objects.ts';
import { keys, type Reference } from './schema.ts';
import type { Item, Store } from './store.ts';

export interface StdinState {
  /** All input so far: the offset of the next part. */
  readonly stdinBytes: number;
  readonly ended: boolean;
}

/** The input of commands submitted with open stdin, kept until the command is final so that a retry can read it again. */
export interface StdinLog {
  /**
   * Adds a part. With `from`, a part that is already there is taken once.
   * @throws AppError 'conflict' after the end or at a wrong offset, 'too-large' past the limit on input
   */
  append(reference: Reference, bytes: Uint8Array, from: number | undefined): Promise<StdinState>;
  /** Twice is the same as once. */
  end(reference: Reference): Promise<StdinState>;
  /**
   * The input in order from a part's beginning on (@default 0), waiting for more until it has ended or `signal` aborts.
   * @throws AppError 'conflict' when no part begins there
   */
  read(reference: Reference, signal: AbortSignal, from?: number): AsyncGenerator<Uint8Array>;
  /** Removes it all, once nobody will read it again. */
  remove(reference: Reference): Promise<void>;
}

interface PartData {
  readonly length: number;
  readonly object?: string;
}

const INLINE_BYTES = 64 * 1024;
const PARTS_PER_READ = 16;
const NOTHING: StdinState = { stdinBytes: 0, ended: false };
/** Sorts after every part: the keys have 15 digits. */
const LAST_OFFSET = 1e15 - 1;

export const makeStdinLog = (
  store: Store,
  objects: Objects,
  changes: Changes,
  random: Random,
  lookEverySeconds: number,
): StdinLog => {
  const readState = async (reference: Reference): Promise<{ item: Item | undefined; state: StdinState }> => {
    const item = await store.get(keys.stdinState(reference));
    return { item, state: item ? (item.data as StdinState) : NOTHING };
  };

  const partsFrom = (reference: Reference, offset: number): Promise<readonly Item[]> => {
    const { pk, sk } = keys.stdinPart(reference, offset);
    return store.query(pk, { from: sk, to: keys.stdinPart(reference, LAST_OFFSET).sk, limit: PARTS_PER_READ });
  };

  const partItem = async (reference: Reference, offset: number, bytes: Uint8Array): Promise<Item> => {
    const key = keys.stdinPart(reference, offset);
    if (bytes.length <= INLINE_BYTES) {
      return { ...key, version: 1, data: { length: bytes.length } satisfies PartData, bytes };
    }
    // Random, since of two parts sent at once for one offset only the stored one may keep its bytes.
    const object = `${keys.objects(reference, 'stdin')}${key.sk.slice('stdin/'.length)}-${random.hex(8)}`;
    await objects.put(object, bytes);
    return { ...key, version: 1, data: { length: bytes.length, object } satisfies PartData };
  };

  return {
    async append(reference, bytes, from) {
      for (;;) {
        const { item, state } = await readState(reference);
        const offset = state.stdinBytes;
        if (
          from !== undefined &&
          from + bytes.length <= offset &&
          (await isPart(store, reference, from, bytes.length))
        ) {
          return state;
        }
        if (state.ended) throw new AppError('conflict', 'The input of this command has already been ended.');
        if (from !== undefined && from !== offset) {
          const detail = `The next part must begin at byte ${offset}, not at byte ${from}.`;
          throw new AppError('conflict', detail, { faults: [{ in: 'query', pointer: '/from', detail }] });
        }
        if (offset + bytes.length > LIMITS.stdinBytes) {
          throw new AppError('too-large', `A command takes at most ${LIMITS.stdinBytes} bytes of input.`);
        }
        if (bytes.length === 0) return state;
        const next: StdinState = { ...state, stdinBytes: offset + bytes.length };
        const version = (item?.version ?? 0) + 1;
        const written = await store.write([
          { put: { ...keys.stdinState(reference), version, data: next }, ifVersion: version - 1 },
          { put: await partItem(reference, offset, bytes), ifVersion: 0 },
        ]);
        if (!written.ok) continue;
        changes.announce(reference, 'input');
        return next;
      }
    },

    async end(reference) {
      for (;;) {
        const { item, state } = await readState(reference);
        if (state.ended) return state;
        const next: StdinState = { ...state, ended: true };
        const version = (item?.version ?? 0) + 1;
        const put = { ...keys.stdinState(reference), version, data: next };
        if (!(await store.write([{ put, ifVersion: version - 1 }])).ok) continue;
        changes.announce(reference, 'input');
        return next;
      }
    },

    async *read(reference, signal, from = 0) {
      using watch = changes.watch(reference, ['input']);
      const wake = () => changes.announce(reference, 'input');
      signal.addEventListener('abort', wake, { once: true });
      try {
        for (let offset = from; !signal.aborted; ) {
          // The state first: parts that it counts are surely there.
          const { state } = await readState(reference);
          const parts = await partsFrom(reference, offset);
          if (offset < state.stdinBytes && parts[0]?.sk !== keys.stdinPart(reference, offset).sk) {
            throw new AppError('conflict', `No part of the input begins at byte ${offset}.`);
          }
          for (const item of parts) {
            const { length, object } = item.data as PartData;
            yield object === undefined ? (item.bytes ?? new Uint8Array()) : await objects.get(object);
            offset += length;
          }
          if (offset < state.stdinBytes) continue;
          if (state.ended) return;
          await watch.next(lookEverySeconds * 1_000);
        }
      } finally {
        signal.removeEventListener('abort', wake);
      }
    },

    async remove(reference) {
      for (;;) {
        const parts = await partsFrom(reference, 0);
        if (parts.length === 0) break;
        await store.write(parts.map(({ pk, sk }) => ({ remove: { pk, sk } })));
      }
      await objects.removeAll(keys.objects(reference, 'stdin'));
    },
  };
};

const isPart = async (store: Store, reference: Reference, offset: number, length: number): Promise<boolean> => {
  const part = await store.get(keys.stdinPart(reference, offset));
  return part !== undefined && (part.data as PartData).length === length;
};
