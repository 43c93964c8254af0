import type { Clock } from '../domain/clock.ts';
import { type CommandId, isCommandId, type TenantId } from '../domain/ids.ts';
import type { Stored } from '../store/commands.ts';
import { type Reference, tenantOf, type WorkflowReference } from '../store/schema.ts';

/** What changed about a command: its record, or its output or input. A workflow has a record alone. */
export type Topic = 'record' | 'output' | 'input';

/** Waits for the next change. Dispose of it when done. */
export interface Watch extends Disposable {
  /**
   * Resolves when something was announced since this was last called (or since the watch began), or after
   * `timeoutMs`, whichever is first, with the newest record that was announced meanwhile, to save a read. Undefined says
   * nothing: look at the store.
   */
  next(timeoutMs: number): Promise<Stored | undefined>;
}

/**
 * Tells those who wait on a command that it is worth another look. A hint, never the truth: whoever waits also
 * looks from time to time, since a change made by another process may not be announced here.
 */
export interface Changes {
  /** @param record the command's, as it was just stored */
  announce(reference: Reference | WorkflowReference, topic: Topic, record?: Stored): void;
  watch(reference: Reference | WorkflowReference, topics: readonly Topic[]): Watch;
  /** What waits for its place in the tenant's log is being stored. */
  announceEvent(tenant: TenantId): void;
  /** Calls `hear` for what is to be in the tenant's log: of the command whose record changed, or of none; until it is disposed of. */
  hear(tenant: TenantId, hear: (id?: CommandId) => void): Disposable;
  /** A schedule was stored, and may be due earlier than any before. */
  announceSchedule(): void;
  /** Calls `hear` for each, until it is disposed of. */
  hearSchedules(hear: () => void): Disposable;
}

interface Watcher {
  readonly topics: readonly Topic[];
  dirty: boolean;
  record: Stored | undefined;
  wake: (() => void) | undefined;
}

/** Changes announced and watched within one process. */
export const inProcessChanges = (clock: Clock): Changes => {
  const watchersByReference = new Map<string, Set<Watcher>>();
  const hearersByTenant = new Map<TenantId, Set<(id?: CommandId) => void>>();
  const scheduleHearers = new Set<() => void>();

  const tell = (tenant: TenantId, id?: CommandId): void => {
    for (const hear of hearersByTenant.get(tenant) ?? []) hear(id);
  };

  return {
    announce(reference, topic, record) {
      if (topic === 'record' && hearersByTenant.size > 0) {
        const tenant = tenantOf(reference);
        const id = reference.slice(tenant.length + 1);
        tell(tenant, isCommandId(id) ? id : undefined);
      }
      for (const watcher of watchersByReference.get(reference) ?? []) {
        if (!watcher.topics.includes(topic)) continue;
        watcher.dirty = true;
        if (record && record.version > (watcher.record?.version ?? 0)) watcher.record = record;
        watcher.wake?.();
      }
    },

    announceEvent: (tenant) => tell(tenant),

    announceSchedule() {
      for (const hear of scheduleHearers) hear();
    },

    hearSchedules(hear) {
      scheduleHearers.add(hear);
      return { [Symbol.dispose]: () => void scheduleHearers.delete(hear) };
    },

    hear(tenant, hear) {
      const hearers = hearersByTenant.get(tenant) ?? new Set();
      hearersByTenant.set(tenant, hearers.add(hear));
      return {
        [Symbol.dispose]() {
          hearers.delete(hear);
          if (hearers.size === 0) hearersByTenant.delete(tenant);
        },
      };
    },

    watch(reference, topics) {
      const watcher: Watcher = { topics, dirty: false, record: undefined, wake: undefined };
      const watchers = watchersByReference.get(reference) ?? new Set();
      watchersByReference.set(reference, watchers.add(watcher));
      return {
        async next(timeoutMs) {
          if (!watcher.dirty && timeoutMs > 0) {
            await new Promise<void>((resolve) => {
              const callOff = clock.after(timeoutMs, resolve);
              watcher.wake = () => {
                callOff();
                resolve();
              };
            });
            watcher.wake = undefined;
          }
          const { record } = watcher;
          watcher.dirty = false;
          watcher.record = undefined;
          return record;
        },
        [Symbol.dispose]() {
          watcher.wake?.();
          watchers.delete(watcher);
          if (watchers.size === 0) watchersByReference.delete(reference);
        },
      };
    },
  };
};
