import type { CommandId, CommandIds, TenantId } from '../domain/ids.ts';
import type { Toll } from './commands.ts';
import { indexKeys, keys } from './schema.ts';
import type { Item, Store } from './store.ts';

/**
 * Sees to it that a tenant's commands are stored in such an order that whoever goes through them by id, and comes back later, misses
 * none: whatever the clock does, and however many processes there are.
 *
 * Where writes that go together are free, by a fence: an id up to which all is stored that ever will be. It is checked in the same
 * transaction as each new command. Where they cost double there is none, and readers have to leave out what is younger than a
 * command takes to be stored, and clocks differ.
 */
export interface CommandOrder {
  /** Whether there is a fence, so that nobody is overtaken. */
  readonly isFenced: boolean;
  /** An id behind those of all commands of the tenant that this process knows of. */
  next(tenant: TenantId): Promise<CommandId>;
  /** Until it is disposed of, a command of this id may be stored by this process any moment: the fence stays before it, so that it keeps its id. */
  expect(tenant: TenantId, id: CommandId): Disposable;
  /** To be written with a new command. @throws Overtaken when it needs another id */
  toll(tenant: TenantId, id: CommandId): Toll | undefined;
  /** Moves the fence to the newest command before those that are expected. Resolves with what sorts up to it; undefined where there is no fence. */
  close(tenant: TenantId): Promise<string | undefined>;
}

/** Others were read past an id before its command was stored. */
export class Overtaken extends Error {
  override readonly name = 'Overtaken';
}

interface Fence {
  readonly version: number;
  readonly to: string;
  /** As it is stored, with what another version put into it. */
  readonly data: object;
}

const NOTHING: Disposable = { [Symbol.dispose]() {} };
/** Sorts before all ids. */
const NONE = '';

export const makeCommandOrder = (store: Store, ids: CommandIds): CommandOrder => {
  if (store.atomicWrites === 'costly') {
    return {
      isFenced: false,
      next: async () => ids.next(),
      expect: () => NOTHING,
      toll: () => undefined,
      close: async () => undefined,
    };
  }
  /** As last seen. */
  const fences = new Map<TenantId, Fence>();

  const see = (tenant: TenantId, item: Item | undefined): Fence => {
    const data = (item?.data ?? {}) as { readonly to?: CommandId };
    const fence = { version: item?.version ?? 0, to: data.to ?? NONE, data };
    if (fence.to !== NONE) ids.passed(fence.to as CommandId);
    fences.set(tenant, fence);
    return fence;
  };
  const look = async (tenant: TenantId): Promise<Fence> => see(tenant, await store.get(keys.commandFence(tenant)));

  const expected = new Map<TenantId, Set<CommandId>>();

  const newestOf = async (tenant: TenantId): Promise<CommandId | undefined> => {
    const { pk } = indexKeys.list(tenant, NONE as CommandId);
    const [first, ...others] = expected.get(tenant) ?? [];
    const to = others.reduce((a, b) => (a === undefined || b < a ? b : a), first);
    const [newest] = await store.queryIndex('list', pk, {
      ...(to === undefined ? {} : { to }),
      limit: 1,
      reverse: true,
    });
    return newest?.indexKey.sk as CommandId | undefined;
  };

  return {
    isFenced: true,

    async next(tenant) {
      if (!fences.has(tenant)) {
        const newest = await newestOf(tenant);
        if (newest !== undefined) ids.passed(newest);
        await look(tenant);
      }
      return ids.next();
    },

    expect(tenant, id) {
      const own = expected.get(tenant) ?? new Set();
      expected.set(tenant, own.add(id));
      return {
        [Symbol.dispose]() {
          own.delete(id);
          if (own.size === 0) expected.delete(tenant);
        },
      };
    },

    toll(tenant, id) {
      let isFirst = true;
      return async () => {
        // Asked again, something had moved: most often the fence.
        const { version, to } = (isFirst && fences.get(tenant)) || (await look(tenant));
        isFirst = false;
        if (id <= to) throw new Overtaken(`${id} is overtaken`);
        return [{ check: keys.commandFence(tenant), ifVersion: version }];
      };
    },

    async close(tenant) {
      const newest = await newestOf(tenant);
      const { version, to, data } = await look(tenant);
      if (newest === undefined || newest <= to) return to;
      const put: Item = { ...keys.commandFence(tenant), version: version + 1, data: { ...data, to: newest } };
      const written = await store.write([{ put, ifVersion: version }]);
      // Moved by somebody else, it is as good.
      return see(tenant, written.ok ? put : written.actual).to;
    },
  };
};
