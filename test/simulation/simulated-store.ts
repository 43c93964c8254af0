import { AppError } from '../../shared/domain/errors.ts';
import type { Item, Key, Store, Write, Written } from '../../shared/store/store.ts';
import { assertWrites } from '../../shared/store/store.ts';
import type { Faults } from './faults.ts';
import type { Answer, Life } from './life.ts';
import type { Memory } from './memory-store.ts';
import type { World } from './world.ts';

interface StoreParts {
  readonly world: World;
  readonly faults: Faults;
  readonly memory: Memory;
  /** `costly`: a store across a network, as DynamoDB is. `free`: a file on this machine. */
  readonly atomicWrites: Store['atomicWrites'];
  /** Asked at each write: whether its answer is lost. */
  readonly losesAnswer: () => boolean;
}

const TIMEOUT_MS = 5_000;
const REPEAT_MS = 250;

/** The store as one process reaches it: the port's promises, and all that may go wrong within them. */
export const storeOf = (life: Life, { world, faults, memory, atomicWrites, losesAnswer }: StoreParts): Store => {
  const isFar = atomicWrites === 'costly';
  const takesMs = (): number => {
    if (faults.strikes('store-slow')) return world.rng.between(200, 8_000);
    return isFar ? world.rng.between(2, 15) : world.rng.between(0, 4);
  };

  const read = <T>(what: string, look: () => T): Promise<T> =>
    life.call(what, (answer) => {
      const isRefused = faults.strikes('store-refuses');
      // A file is read in the same turn of the event loop.
      if (!isFar && !isRefused) return answer.resolve(look());
      world.after(takesMs(), () => {
        if (isRefused) return refuse(life, world, answer, what);
        answer.resolve(look());
      });
    });

  const write = (writes: readonly Write[]): Promise<Written> => {
    const what = `store.write ${describe(writes)}`;
    return life.call(what, (answer: Answer<Written>) => {
      const apply = (): Written => {
        // Across a network a write outlives who asked for it; in a file it does not.
        if (!isFar && !life.isAlive()) return { ok: true };
        const written = memory.write(writes);
        world.note(life.name, `${what}: ${written.ok ? 'stored' : `part ${written.index} refused`}`);
        return written;
      };
      if (faults.strikes('store-refuses')) {
        return void world.after(takesMs(), () => refuse(life, world, answer, what));
      }
      if (losesAnswer() || faults.strikes('store-answer-lost')) {
        world.after(takesMs(), apply);
        return void world.after(TIMEOUT_MS, () => refuse(life, world, answer, what));
      }
      if (isFar && faults.strikes('store-late-write')) {
        // Given up by who asked for it, it is still on its way.
        world.after(TIMEOUT_MS, () => refuse(life, world, answer, what));
        return void world.after(TIMEOUT_MS + world.rng.between(1, 20_000), apply);
      }
      if (isFar && writes.length === 1 && faults.strikes('store-write-repeated')) {
        return void world.after(takesMs(), () => {
          const first = apply();
          const put = putOf(writes);
          world.after(REPEAT_MS * world.rng.between(1, 40), () => answer.resolve(repeated(first, put, memory)));
        });
      }
      world.after(takesMs(), () => {
        const written = apply();
        world.after(takesMs(), () => answer.resolve(written));
      });
    });
  };

  return {
    atomicWrites,
    get: (key) => read(`store.get ${nameOf(key)}`, () => memory.get(key)),
    getAll: (keys) => read('store.getAll', () => keys.map((key) => memory.get(key))),
    async write(writes) {
      assertWrites(writes);
      return write(writes);
    },
    query: (pk, range) => read('store.query', () => memory.query(pk, range)),
    queryIndex: (index, pk, range) => read('store.queryIndex', () => memory.queryIndex(index, pk, range)),
    removeExpired: (now) => (isFar ? Promise.resolve() : read('store.removeExpired', () => memory.removeExpired(now))),
    check: () => read('store.check', () => {}),
    close: async () => {},
  };
};

/**
 * What the adapter says of a write whose first answer was lost and which it repeated: it knows its own by the random id of the write,
 * unless somebody has written over it meanwhile.
 */
const repeated = (first: Written, put: Item | undefined, memory: Memory): Written => {
  if (!first.ok || !put) return first;
  const actual = memory.get(put);
  return actual?.version === put.version ? first : { ok: false, index: 0, actual };
};

const putOf = ([first]: readonly Write[]): Item | undefined => (first && 'put' in first ? first.put : undefined);

const refuse = (life: Life, world: World, answer: Answer<never>, what: string): void => {
  world.note(life.name, `${what}: no answer`);
  answer.reject(new AppError('unavailable', 'The simulated store cannot be used right now.'));
};

const nameOf = ({ sk }: Key): string => sk;

const describe = (writes: readonly Write[]): string =>
  writes
    .map((write) => {
      if ('remove' in write) return `-${nameOf(write.remove)}`;
      if ('check' in write) return `?${nameOf(write.check)}`;
      const { put } = write;
      const { command } = (put.sk === 'command' ? put.data : {}) as { command?: { id: string; status: string } };
      return command ? `${command.id.slice(-4)} v${put.version} ${command.status}` : `${nameOf(put)} v${put.version}`;
    })
    .join(', ');
