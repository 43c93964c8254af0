import { isInScope } from '../domain/actor.ts';
import type { Clock, Instant, Random } from '../domain/clock.ts';
import type { Command, Status } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { CommandId, TenantId } from '../domain/ids.ts';
import { dueAtOf, dueBy, duePartitions, indexKeys, keys, type Reference, referenceOf } from './schema.ts';
import type { Item, Store, Write, Written } from './store.ts';

/** A command with the version that a save of it must find. */
export interface Stored {
  readonly command: Command;
  readonly version: number;
  /** When the index of what is due says that it is: never later than the command says, often earlier. */
  readonly indexedDueAt?: Instant | undefined;
}

/** What makes a repeated submission the same one. */
export interface Idempotency {
  /** SHA-256 of the caller's key. */
  readonly keyHash: string;
  /** SHA-256 of the request. */
  readonly bodyHash: string;
  readonly expiresAt: Instant;
}

export type Added =
  | { readonly kind: 'added'; readonly stored: Stored }
  /** The key was used before, for this command. */
  | { readonly kind: 'repeated'; readonly id: CommandId; readonly sameBody: boolean };

export type Saved =
  | { readonly ok: true; readonly stored: Stored }
  /** Someone else was faster; `stored` is what they made of it. */
  | { readonly ok: false; readonly stored: Stored | undefined };

export interface ListFilter {
  readonly status?: Status | undefined;
  /** All of them. */
  readonly labels?: Readonly<Record<string, string>>;
  /** One of them. */
  readonly targets?: readonly string[];
}

export interface CommandPage {
  readonly commands: readonly Command[];
  /** Continue after this id; absent at the end. */
  readonly after?: CommandId;
}

/** The commands, above the store. */
export interface Commands {
  find(reference: Reference): Promise<Stored | undefined>;
  /**
   * Stores a new command, once for each idempotency key that has not expired by `now`. `toll` is written in the same
   * transaction. @throws what `toll` does: then nothing is stored
   */
  add(command: Command, idempotency: Idempotency | undefined, now: Instant, toll?: Toll): Promise<Added>;
  /** In the order in which they were asked for, without those that are not there. */
  findAll(tenant: TenantId, ids: readonly CommandId[]): Promise<readonly Command[]>;
  /** Those of a tenant after one, up to an id or what sorts as one: the oldest first. */
  since(tenant: TenantId, after: CommandId | undefined, to: string, limit: number): Promise<readonly Command[]>;
  /** All of a tenant's after one, whatever their time, some at a time: the oldest first. */
  pages(tenant: TenantId, after?: CommandId): AsyncGenerator<readonly Command[]>;
  /** The command that an idempotency key was used for, if it was and has not expired. */
  findRepeated(
    tenant: TenantId,
    idempotency: Idempotency,
    now: Instant,
  ): Promise<Extract<Added, { kind: 'repeated' }> | undefined>;
  /**
   * Makes sure that nothing is submitted with an idempotency key any more, by whoever is about to: `id`, which nobody else has, takes its
   * place. Resolves with the command that was submitted with it before, if one was.
   */
  withdraw(
    tenant: TenantId,
    idempotency: Idempotency,
    by: { readonly id: CommandId; readonly now: Instant },
  ): Promise<CommandId | undefined>;
  /** Compare-and-set, with `alongside` and `toll` in the same transaction. Only the one that sees `ok: true` may act on it. */
  save(from: Stored, next: Command, alongside?: readonly Write[], toll?: Toll): Promise<Saved>;
  /**
   * Moves a command that turned out not to be due yet to its place in the index; without it, it would be found again and
   * again. Of two that do, either is right.
   */
  reindex(stored: Stored): Promise<void>;
  /** Commands whose time to be looked at has come, the most overdue first. */
  due(now: Instant, limit: number): Promise<readonly Reference[]>;
  /** Newest first. A page may hold fewer than `limit`, even none, and still be followed by another. */
  list(
    tenant: TenantId,
    filter: ListFilter,
    page: { limit: number; after?: CommandId | undefined },
  ): Promise<CommandPage>;
}

/** What has to be written with a change, made anew for each try: counters that others change too. */
export type Toll = () => Promise<readonly Write[]>;

export const allOf = (...tolls: readonly (Toll | undefined)[]): Toll | undefined => {
  const given = tolls.filter((toll) => toll !== undefined);
  return given.length > 1 ? async () => (await Promise.all(given.map((toll) => toll()))).flat() : given[0];
};

interface CommandData {
  readonly command: Command;
  /** Tells the writer of this version that it was its own write, should the answer have been lost. */
  readonly nonce: string;
}

/** In the place of a command that is never to be stored. */
const WITHDRAWN = { withdrawn: true } as const;

interface IdempotencyData {
  readonly id: CommandId;
  readonly bodyHash: string;
}

/** How many items one list request may read: bounds the work that a filter with few matches causes. */
const MOST_SCANNED = 1_000;

const PAGE = 100;

/** Each try that fails, somebody else's succeeded. */
const MOST_TOLL_TRIES = 100;

export const makeCommands = (store: Store, random: Random, clock: Clock): Commands => {
  const inTurn = makeTurns();

  const writeWithToll = async (
    command: Command,
    writes: readonly Write[],
    toll: Toll | undefined,
  ): Promise<Written> => {
    if (!toll) return store.write(writes);
    // They all change one counter: at once, they would only be in each other's way.
    const work = () => tryWithToll(writes, toll);
    return command.metered ? inTurn(command.tenant, work) : work();
  };

  const tryWithToll = async (writes: readonly Write[], toll: Toll): Promise<Written> => {
    for (let tries = 1; tries <= MOST_TOLL_TRIES; tries++) {
      const written = await store.write([...writes, ...(await toll())]);
      if (written.ok || written.index < writes.length) return written;
    }
    throw new AppError('unavailable', 'Too many others change what this tenant has used. Try again.');
  };

  const itemOf = (command: Command, version: number, indexedDueAt = command.dueAt): Item => {
    const reference = referenceOf(command.tenant, command.id);
    return {
      ...keys.command(reference),
      version,
      data: { command, nonce: random.hex(8) } satisfies CommandData,
      ...(indexedDueAt === undefined ? {} : { due: indexKeys.due(reference, indexedDueAt) }),
      list: indexKeys.list(command.tenant, command.id),
    };
  };

  /**
   * A place in the index that comes earlier is kept: an update that leaves it alone costs a third on DynamoDB, and most
   * commands have ended before it. One that has passed would be found by every sweep.
   */
  const placeOf = ({ dueAt }: Command, indexedDueAt: Instant | undefined): Instant | undefined => {
    if (dueAt === undefined || indexedDueAt === undefined) return dueAt;
    return indexedDueAt <= dueAt && indexedDueAt > clock.now() ? indexedDueAt : dueAt;
  };

  /**
   * The command of a key that is taken. When whoever took it died before the command was stored, it is stored now: the same
   * request is here again, and it brings all that the command consists of.
   */
  const storeClaimed = async (
    claimed: IdempotencyData,
    idempotency: Idempotency,
    command: Command,
    toll: Toll | undefined,
  ): Promise<Added> => {
    const repeated = toRepeated(claimed, idempotency);
    if (!repeated.sameBody) return repeated;
    const own = { ...command, id: claimed.id };
    const item = itemOf(own, 1);
    const written = await writeWithToll(own, [{ put: item, ifVersion: 0 }], toll);
    if (!written.ok && !isOwn(written.actual, item)) return repeated;
    return { kind: 'added', stored: { command: own, version: 1, indexedDueAt: own.dueAt } };
  };

  const save: Commands['save'] = async (from, next, alongside = [], toll = undefined) => {
    const version = from.version + 1;
    const indexedDueAt = placeOf(next, from.indexedDueAt);
    const item = itemOf(next, version, indexedDueAt);
    const written = await writeWithToll(next, [...alongside, { put: item, ifVersion: from.version }], toll);
    if (written.ok || isOwn(written.actual, item)) {
      return { ok: true, stored: { command: next, version, indexedDueAt } };
    }
    return { ok: false, stored: toStored(await store.get(item)) };
  };

  const findAll: Commands['findAll'] = async (tenant, ids) => {
    if (ids.length === 0) return [];
    const items = await store.getAll(ids.map((id) => keys.command(referenceOf(tenant, id))));
    return items.flatMap((item) => toStored(item)?.command ?? []);
  };

  const withdrawn = (tenant: TenantId, id: CommandId, expiresAt: Instant): Write => ({
    put: { ...keys.command(referenceOf(tenant, id)), version: 1, data: WITHDRAWN, expiresAt },
    ifVersion: 0,
  });

  return {
    async find(reference) {
      return toStored(await store.get(keys.command(reference)));
    },

    async add(command, idempotency, now, toll) {
      const item = itemOf(command, 1);
      const added = { kind: 'added', stored: { command, version: 1, indexedDueAt: command.dueAt } } as const;
      if (!idempotency) {
        const written = await writeWithToll(command, [{ put: item, ifVersion: 0 }], toll);
        if (written.ok || isOwn(written.actual, item)) return added;
        throw new Error(`Command id ${command.id} is taken`);
      }
      const key = keys.idempotency(command.tenant, idempotency.keyHash);
      for (let before = await store.get(key); ; ) {
        const fresh = before === undefined || (before.expiresAt ?? 0) <= now;
        if (before && !fresh) {
          const claimed = before.data as IdempotencyData;
          if (store.atomicWrites === 'free') return toRepeated(claimed, idempotency);
          // A repetition pays no toll: its tenant may have nothing left to pay with.
          const isStored = (await store.get(keys.command(referenceOf(command.tenant, claimed.id)))) !== undefined;
          return isStored ? toRepeated(claimed, idempotency) : storeClaimed(claimed, idempotency, command, toll);
        }
        const record: Item = {
          ...key,
          version: (before?.version ?? 0) + 1,
          data: { id: command.id, bodyHash: idempotency.bodyHash } satisfies IdempotencyData,
          expiresAt: idempotency.expiresAt,
        };
        const claim: Write = { put: record, ifVersion: before?.version ?? 0 };
        const putCommand: Write = { put: item, ifVersion: 0 };
        const isApart = store.atomicWrites === 'costly';
        // Before the key is claimed for a command that is then refused.
        if (isApart) await toll?.();
        const written = await (isApart ? store.write([claim]) : writeWithToll(command, [claim, putCommand], toll));
        if (written.ok || (written.actual?.data as IdempotencyData | undefined)?.id === command.id) {
          return isApart ? storeClaimed(record.data as IdempotencyData, idempotency, command, toll) : added;
        }
        if (written.index === 1) throw new Error(`Command id ${command.id} is taken`);
        before = written.actual;
      }
    },

    save,

    async withdraw(tenant, { keyHash, bodyHash, expiresAt }, { id, now }) {
      const key = keys.idempotency(tenant, keyHash);
      for (let before = await store.get(key); ; ) {
        if (before && (before.expiresAt ?? 0) > now) {
          const claimed = (before.data as IdempotencyData).id;
          const written = await store.write([withdrawn(tenant, claimed, expiresAt)]);
          return written.ok || !toStored(written.actual) ? undefined : claimed;
        }
        const version = before?.version ?? 0;
        const data: IdempotencyData = { id, bodyHash };
        const claim: Write = { put: { ...key, version: version + 1, data, expiresAt }, ifVersion: version };
        const written = await store.write([claim, withdrawn(tenant, id, expiresAt)]);
        if (written.ok) return undefined;
        before = await store.get(key);
      }
    },

    findAll,

    async since(tenant, after, to, limit) {
      const from = after === undefined ? {} : { from: `${after}\0` };
      if (after !== undefined && to <= after) return [];
      const { pk } = indexKeys.list(tenant, '' as CommandId);
      const entries = await store.queryIndex('list', pk, { ...from, to, limit });
      return findAll(
        tenant,
        entries.map(({ indexKey }) => indexKey.sk as CommandId),
      );
    },

    async *pages(tenant, after) {
      const { pk } = indexKeys.list(tenant, '' as CommandId);
      for (let last: string | undefined = after; ; ) {
        const from = last === undefined ? {} : { from: `${last}\0` };
        const entries = await store.queryIndex('list', pk, { ...from, limit: PAGE });
        const ids = entries.map(({ indexKey }) => indexKey.sk as CommandId);
        // One that was removed since is in the index for a moment more.
        yield await findAll(tenant, ids);
        last = ids.at(-1);
        if (ids.length < PAGE) return;
      }
    },

    async findRepeated(tenant, { keyHash, bodyHash }, now) {
      const item = await store.get(keys.idempotency(tenant, keyHash));
      if (!item || (item.expiresAt ?? 0) <= now) return undefined;
      const { id, bodyHash: earlier } = item.data as IdempotencyData;
      return { kind: 'repeated', id, sameBody: earlier === bodyHash };
    },

    async reindex(stored) {
      const { command, indexedDueAt } = stored;
      if (indexedDueAt === placeOf(command, indexedDueAt)) return;
      await save(stored, command);
    },

    async due(now, limit) {
      const range = { to: dueBy(now), limit };
      const shards = await Promise.all(duePartitions.map((pk) => store.queryIndex('due', pk, range)));
      return shards
        .flat()
        .sort((a, b) => (a.indexKey.sk < b.indexKey.sk ? -1 : 1))
        .slice(0, limit)
        .map(({ key }) => key.pk as Reference);
    },

    async list(tenant, filter, { limit, after }) {
      const commands: Command[] = [];
      const { pk } = indexKeys.list(tenant, '' as CommandId);
      let last = after;
      for (let scanned = 0; scanned < MOST_SCANNED; ) {
        const pageSize = limit - commands.length + 1;
        const entries = await store.queryIndex('list', pk, {
          // The range is inclusive, so the last one seen comes first again.
          ...(last === undefined ? {} : { to: last }),
          limit: pageSize + 1,
          reverse: true,
        });
        const unseen = entries.filter(({ indexKey }) => indexKey.sk !== last);
        // One that was removed since is in the index for a moment more.
        for (const item of await store.getAll(unseen.map(({ key }) => key))) {
          const command = toStored(item)?.command;
          if (!command) continue;
          if (commands.length === limit) return { commands, ...(last === undefined ? {} : { after: last }) };
          last = command.id;
          if (matches(command, filter)) commands.push(command);
        }
        scanned += unseen.length;
        if (entries.length <= pageSize) return { commands };
      }
      return { commands, ...(last === undefined ? {} : { after: last }) };
    },
  };
};

const toRepeated = ({ id, bodyHash }: IdempotencyData, { bodyHash: ours }: Idempotency) =>
  ({ kind: 'repeated', id, sameBody: bodyHash === ours }) as const;

/** One after the other within this process, for each tenant. */
const makeTurns = () => {
  const last = new Map<TenantId, Promise<void>>();
  return async <T>(tenant: TenantId, work: () => Promise<T>): Promise<T> => {
    const mine = (last.get(tenant) ?? Promise.resolve()).then(work);
    const over = mine.then(
      () => {},
      () => {},
    );
    last.set(tenant, over);
    void over.then(() => last.get(tenant) === over && last.delete(tenant));
    return mine;
  };
};

const toStored = (item: Item | undefined): Stored | undefined => {
  if (!item || 'withdrawn' in (item.data as object)) return undefined;
  const { data, version, due } = item;
  return { command: (data as CommandData).command, version, indexedDueAt: due && dueAtOf(due) };
};

const isOwn = (actual: Item | undefined, written: Item): boolean =>
  actual?.version === written.version && (actual.data as CommandData).nonce === (written.data as CommandData).nonce;

const matches = (command: Command, { status, labels, targets }: ListFilter): boolean =>
  (status === undefined || command.status === status) &&
  isInScope({ ...(labels ? { labels } : {}), ...(targets ? { targets } : {}) }, command);
