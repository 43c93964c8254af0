import { EMPTY_LOG, type LogEnd } from '../audit/chain.ts';
import type { AuditEntry, AuditEvent, SignedCheckpoint } from '../domain/audit.ts';
import type { Clock, Random } from '../domain/clock.ts';
import type { Command } from '../domain/command.ts';
import type { CommandId, TenantId } from '../domain/ids.ts';
import type { Changes } from '../events/changes.ts';
import type { Profile } from '../security/detector.ts';
import { keys } from './schema.ts';
import type { Item, Store, Write } from './store.ts';

/** Where a tenant's log stands. */
export interface LogHead {
  readonly end: LogEnd;
  /** Commands up to this one are in it. */
  readonly commandsTo?: CommandId;
  /** Commands that had not ended are looked at from the one after this on. */
  readonly lookedAt?: CommandId;
  /** How many entries the last checkpoint covers. */
  readonly checkpointed: number;
  readonly checkpointedAt?: number;
}

/** An entry with its hash, as it is stored. */
export interface StoredEntry {
  readonly entry: AuditEntry;
  readonly hash: string;
}

export interface PendingEvent {
  readonly id: string;
  readonly event: AuditEvent;
}

/** A command whose submission is in the log and whose end is not. */
export interface OpenCommand {
  readonly id: CommandId;
  /** Up to this attempt, its starts are in the log. */
  readonly attempt: number;
  /** That a change of it must find. */
  readonly version: number;
}

/** What follows in a tenant's log: all of it is stored, or nothing. */
export interface NextEntries {
  readonly entries: readonly StoredEntry[];
  readonly head: LogHead;
  /** That are in it now. */
  readonly sealed: readonly string[];
  readonly opened: readonly Omit<OpenCommand, 'version'>[];
  /** Of which more starts are in it now. */
  readonly moved: readonly OpenCommand[];
  readonly ended: readonly CommandId[];
  readonly checkpoint?: SignedCheckpoint | undefined;
  readonly profiles: ReadonlyMap<string, KeptProfile>;
}

/** What an actor usually does, with the version that a change of it must find: 0 where there is none. */
export interface KeptProfile {
  readonly profile: Profile | undefined;
  readonly version: number;
}

/**
 * The audit logs. An event is first stored with the change that it tells of, in one write, and waits there until it gets its place
 * in the log.
 */
export interface AuditLog {
  /** For the transaction of what it tells of. */
  eventWrite(tenant: TenantId, event: AuditEvent): Write;
  /** Of what changes nothing, such as a refusal. */
  note(tenant: TenantId, event: AuditEvent): Promise<void>;
  head(tenant: TenantId): Promise<{ readonly head: LogHead; readonly version: number }>;
  /** The oldest first. */
  pending(tenant: TenantId, limit: number): Promise<readonly PendingEvent[]>;
  /** From the one after `after` on. */
  open(tenant: TenantId, after: CommandId | undefined, limit: number): Promise<readonly OpenCommand[]>;
  /** Those of them that are open. */
  openAmong(tenant: TenantId, ids: readonly CommandId[]): Promise<readonly OpenCommand[]>;
  /** Has a command that is not open seen to, with its submission first. For the transaction that stores it as logged apart. */
  openingWrites({ tenant, id }: Pick<Command, 'tenant' | 'id'>, submission: AuditEvent): readonly Write[];
  /** By actor. */
  profiles(tenant: TenantId, actors: readonly string[]): Promise<ReadonlyMap<string, KeptProfile>>;
  /** That the log ends where it was read: whatever goes on from there is not stored, nor is this when something did. */
  endWrite(tenant: TenantId, read: { readonly head: LogHead; readonly version: number }): Write;
  /** Resolves with whether it was stored: not when someone else was faster. */
  extend(tenant: TenantId, ifVersion: number, next: NextEntries): Promise<boolean>;
  /** One, by its number; undefined when there is none. */
  entryAt(tenant: TenantId, sequence: number): Promise<AuditEntry | undefined>;
  /** From a number on, some at a time. */
  read(tenant: TenantId, from: number): AsyncGenerator<StoredEntry>;
  /** Before a number, the last first. */
  readBack(tenant: TenantId, before: number | undefined): AsyncGenerator<StoredEntry>;
  /** The last one first. */
  checkpoints(tenant: TenantId, limit: number): Promise<readonly SignedCheckpoint[]>;
  /** That cover so many entries at least, the shortest first. */
  checkpointsFrom(tenant: TenantId, size: number): AsyncGenerator<SignedCheckpoint>;
}

const PAGE = 20;

/** One that was stored before starts were in the log has no number. What another version put into it is kept. */
const toOpen = ({ sk, version, data }: Item): OpenCommand => ({
  ...(data as object),
  id: sk.slice('open/'.length) as CommandId,
  attempt: (data as { readonly attempt?: number }).attempt ?? 0,
  version,
});

export const makeAuditLog = (
  store: Store,
  clock: Pick<Clock, 'now'>,
  random: Pick<Random, 'hex'>,
  changes: Pick<Changes, 'announceEvent'>,
): AuditLog => {
  const eventWrite: AuditLog['eventWrite'] = (tenant, event) => {
    // Stored in a moment: whoever hears of it waits a little before it looks.
    changes.announceEvent(tenant);
    return { put: { ...keys.auditPending(tenant, clock.now(), random.hex(8)), version: 1, data: event }, ifVersion: 0 };
  };
  const segmentFrom = keys.auditSegment('' as TenantId, 0).sk;
  const segmentTo = keys.auditSegment('' as TenantId, 999_999_999_999).sk;

  /** It begins before the entry, or with it. */
  const segmentWith = async (tenant: TenantId, sequence: number): Promise<Item | undefined> => {
    const { pk, sk: to } = keys.auditSegment(tenant, sequence);
    return (await store.query(pk, { from: segmentFrom, to, limit: 1, reverse: true }))[0];
  };

  return {
    eventWrite,

    async note(tenant, event) {
      await store.write([eventWrite(tenant, event)]);
    },

    async head(tenant) {
      const item = await store.get(keys.auditHead(tenant));
      return {
        head: (item?.data as LogHead | undefined) ?? { end: EMPTY_LOG, checkpointed: 0 },
        version: item?.version ?? 0,
      };
    },

    async pending(tenant, limit) {
      const { pk, sk } = keys.auditPending(tenant, 0, '');
      const items = await store.query(pk, { from: sk.slice(0, 8), to: 'pending0', limit });
      return items.map((item) => ({ id: item.sk, event: item.data as AuditEvent }));
    },

    async open(tenant, after, limit) {
      const { pk } = keys.auditOpen(tenant, '' as CommandId);
      const from = after === undefined ? 'open/' : `open/${after}\0`;
      return (await store.query(pk, { from, to: 'open0', limit })).map(toOpen);
    },

    async openAmong(tenant, ids) {
      if (ids.length === 0) return [];
      const items = await store.getAll(ids.map((id) => keys.auditOpen(tenant, id)));
      return items.flatMap((item) => (item ? [toOpen(item)] : []));
    },

    openingWrites: ({ tenant, id }, submission) => [
      { put: { ...keys.auditOpen(tenant, id), version: 1, data: { attempt: 0 } }, ifVersion: 0 },
      eventWrite(tenant, submission),
    ],

    async profiles(tenant, actors) {
      if (actors.length === 0) return new Map();
      const items = await store.getAll(actors.map((actor) => keys.auditProfile(tenant, actor)));
      return new Map(
        actors.map((actor, i) => [
          actor,
          { profile: items[i]?.data as Profile | undefined, version: items[i]?.version ?? 0 },
        ]),
      );
    },

    endWrite: (tenant, { head, version }) => ({
      put: { ...keys.auditHead(tenant), version: version + 1, data: head },
      ifVersion: version,
    }),

    async extend(tenant, ifVersion, { entries, head, sealed, opened, moved, ended, checkpoint, profiles }) {
      const [first] = entries;
      const key = keys.auditHead(tenant);
      const put = (at: { pk: string; sk: string }, data: unknown): Write => ({
        put: { ...at, version: 1, data },
        ifVersion: 0,
      });
      const written = await store.write([
        { put: { ...key, version: ifVersion + 1, data: head }, ifVersion },
        ...(first ? [put(keys.auditSegment(tenant, first.entry.sequence), entries)] : []),
        ...(checkpoint ? [put(keys.auditCheckpoint(tenant, checkpoint.checkpoint.size), checkpoint)] : []),
        ...sealed.map((sk) => ({ remove: { pk: key.pk, sk } })),
        ...opened.map(({ id, attempt }) => put(keys.auditOpen(tenant, id), { attempt })),
        ...moved.map(
          ({ id, version, ...data }): Write => ({
            put: { ...keys.auditOpen(tenant, id), version: version + 1, data },
            ifVersion: version,
          }),
        ),
        ...[...profiles].map(([actor, { profile, version }]): Write => {
          const item = { ...keys.auditProfile(tenant, actor), version: version + 1, data: profile };
          return { put: item, ifVersion: version };
        }),
        ...ended.map((id) => ({ remove: keys.auditOpen(tenant, id) })),
      ]);
      return written.ok;
    },

    async entryAt(tenant, sequence) {
      const holding = await segmentWith(tenant, sequence);
      return (holding?.data as readonly StoredEntry[] | undefined)?.find(({ entry }) => entry.sequence === sequence)
        ?.entry;
    },

    async *read(tenant, from) {
      const { pk } = keys.auditHead(tenant);
      const holding = await segmentWith(tenant, from);
      let next = holding?.sk ?? segmentFrom;
      for (;;) {
        const items = await store.query(pk, { from: next, to: segmentTo, limit: PAGE });
        for (const { data } of items) {
          for (const one of data as readonly StoredEntry[]) if (one.entry.sequence >= from) yield one;
        }
        const last = items.at(-1);
        if (!last || items.length < PAGE) return;
        next = `${last.sk}\0`;
      }
    },

    async *readBack(tenant, before) {
      const { pk } = keys.auditHead(tenant);
      let to = before === undefined ? segmentTo : keys.auditSegment(tenant, before - 1).sk;
      for (;;) {
        const items = await store.query(pk, { from: segmentFrom, to, limit: PAGE, reverse: true });
        for (const { data } of items) {
          for (const one of (data as readonly StoredEntry[]).toReversed()) {
            if (before === undefined || one.entry.sequence < before) yield one;
          }
        }
        const last = items.at(-1);
        if (!last || items.length < PAGE) return;
        to = keys.auditSegment(tenant, Number(last.sk.slice('segment/'.length)) - 1).sk;
      }
    },

    async checkpoints(tenant, limit) {
      const { pk } = keys.auditHead(tenant);
      const range = { from: 'checkpoint/', to: 'checkpoint0', limit, reverse: true };
      return (await store.query(pk, range)).map(({ data }) => data as SignedCheckpoint);
    },

    async *checkpointsFrom(tenant, size) {
      const { pk, sk } = keys.auditCheckpoint(tenant, size);
      let from = sk;
      for (;;) {
        const items = await store.query(pk, { from, to: 'checkpoint0', limit: 100 });
        for (const { data } of items) yield data as SignedCheckpoint;
        const last = items.at(-1);
        if (!last || items.length < 100) return;
        from = `${last.sk}\0`;
      }
    },
  };
};
