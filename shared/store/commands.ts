import type { Instant, Random } from '../domain/clock.ts';
import type { Command, Status } from '../domain/command.ts';
import type { CommandId, TenantId } from '../domain/ids.ts';
import { dueBy, duePartitions, indexKeys, keys, type Reference, referenceOf } from './schema.ts';
import type { Item, Store, Write } from './store.ts';

/** A command with the version that a save of it must find. */
export interface Stored {
  readonly command: Command;
  readonly version: number;
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
  readonly label?: { readonly key: string; readonly value: string } | undefined;
  readonly target?: string | undefined;
}

export interface CommandPage {
  readonly commands: readonly Command[];
  /** Continue after this id; absent at the end. */
  readonly after?: CommandId;
}

/** The commands, above the store. */
export interface Commands {
  find(reference: Reference): Promise<Stored | undefined>;
  /** Stores a new command, once for each idempotency key that has not expired by `now`. */
  add(command: Command, idempotency: Idempotency | undefined, now: Instant): Promise<Added>;
  /** Compare-and-set, with `alongside` in the same transaction. Only the one that sees `ok: true` may act on it. */
  save(from: Stored, next: Command, alongside?: readonly Write[]): Promise<Saved>;
  /** Commands whose time to be looked at has come, the most overdue first. */
  due(now: Instant, limit: number): Promise<readonly Reference[]>;
  /** Newest first. A page may hold fewer than `limit`, even none, and still be followed by another. */
  list(
    tenant: TenantId,
    filter: ListFilter,
    page: { limit: number; after?: CommandId | undefined },
  ): Promise<CommandPage>;
}

interface CommandData {
  readonly command: Command;
  /** Tells the writer of this version that it was its own write, should the answer have been lost. */
  readonly nonce: string;
}

interface IdempotencyData {
  readonly id: CommandId;
  readonly bodyHash: string;
}

/** How many items one list request may read: bounds the work that a filter with few matches causes. */
const MOST_SCANNED = 1_000;

export const makeCommands = (store: Store, random: Random): Commands => {
  const itemOf = (command: Command, version: number): Item => {
    const reference = referenceOf(command.tenant, command.id);
    return {
      ...keys.command(reference),
      version,
      data: { command, nonce: random.hex(8) } satisfies CommandData,
      ...(command.dueAt === undefined ? {} : { due: indexKeys.due(reference, command.dueAt) }),
      list: indexKeys.list(command.tenant, command.id),
    };
  };

  return {
    async find(reference) {
      return toStored(await store.get(keys.command(reference)));
    },

    async add(command, idempotency, now) {
      const item = itemOf(command, 1);
      const added = { kind: 'added', stored: { command, version: 1 } } as const;
      if (!idempotency) {
        const written = await store.write([{ put: item, ifVersion: 0 }]);
        if (written.ok || isOwn(written.actual, item)) return added;
        throw new Error(`Command id ${command.id} is taken`);
      }
      const key = keys.idempotency(command.tenant, idempotency.keyHash);
      for (let before = await store.get(key); ; ) {
        const fresh = before === undefined || (before.expiresAt ?? 0) <= now;
        if (before && !fresh) {
          const { id, bodyHash } = before.data as IdempotencyData;
          return { kind: 'repeated', id, sameBody: bodyHash === idempotency.bodyHash };
        }
        const record: Item = {
          ...key,
          version: (before?.version ?? 0) + 1,
          data: { id: command.id, bodyHash: idempotency.bodyHash } satisfies IdempotencyData,
          expiresAt: idempotency.expiresAt,
        };
        const written = await store.write([
          { put: record, ifVersion: before?.version ?? 0 },
          { put: item, ifVersion: 0 },
        ]);
        if (written.ok || (written.actual?.data as IdempotencyData | undefined)?.id === command.id) return added;
        if (written.index === 1) throw new Error(`Command id ${command.id} is taken`);
        before = written.actual;
      }
    },

    async save(from, next, alongside = []) {
      const version = from.version + 1;
      const item = itemOf(next, version);
      const written = await store.write([...alongside, { put: item, ifVersion: from.version }]);
      if (written.ok || isOwn(written.actual, item)) return { ok: true, stored: { command: next, version } };
      return { ok: false, stored: toStored(await store.get(item)) };
    },

    async due(now, limit) {
      const range = { to: dueBy(now), limit };
      const shards = await Promise.all(duePartitions.map((pk) => store.queryIndex('due', pk, range)));
      return shards
        .flat()
        .sort((a, b) => ((a.due?.sk ?? '') < (b.due?.sk ?? '') ? -1 : 1))
        .slice(0, limit)
        .map((item) => item.pk as Reference);
    },

    async list(tenant, filter, { limit, after }) {
      const commands: Command[] = [];
      const { pk } = indexKeys.list(tenant, '' as CommandId);
      let last = after;
      for (let scanned = 0; scanned < MOST_SCANNED; ) {
        const pageSize = limit - commands.length + 1;
        const items = await store.queryIndex('list', pk, {
          // The range is inclusive, so the last one seen comes first again.
          ...(last === undefined ? {} : { to: last }),
          limit: pageSize + 1,
          reverse: true,
        });
        const unseen = items.filter((item) => item.list?.sk !== last);
        for (const item of unseen) {
          const { command } = item.data as CommandData;
          if (commands.length === limit) return { commands, ...(last === undefined ? {} : { after: last }) };
          last = command.id;
          if (matches(command, filter)) commands.push(command);
        }
        scanned += unseen.length;
        if (items.length <= pageSize) return { commands };
      }
      return { commands, ...(last === undefined ? {} : { after: last }) };
    },
  };
};

const toStored = (item: Item | undefined): Stored | undefined =>
  item && { command: (item.data as CommandData).command, version: item.version };

const isOwn = (actual: Item | undefined, written: Item): boolean =>
  actual?.version === written.version && (actual.data as CommandData).nonce === (written.data as CommandData).nonce;

const matches = (command: Command, { status, label, target }: ListFilter): boolean =>
  (status === undefined || command.status === status) &&
  (target === undefined || command.spec.target === target) &&
  (label === undefined || command.spec.labels[label.key] === label.value);
