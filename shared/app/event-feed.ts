import type { CommandId, TenantId } from '../domain/ids.ts';
import type { EventFeed } from '../events/event-feed.ts';
import type { Deps } from './deps.ts';

type Parts = Omit<Pick<Deps, keyof Deps>, 'eventFeed'>;

/** What is announced together is sealed together, and what is announced is stored by then. */
const GATHER_MS = 20;
/** Ends that another process stored are announced there. */
const LOOK_AT_ALL_EVERY_MS = 5_000;
/** Where others seal, each minute: more looks would only be paid for. */
const LOOK_EVERY_MS = 5_000;

/** What one tenant's listeners share. */
interface Heard {
  listeners: number;
  /** How often something was announced. */
  announced: number;
  /** Commands that changed since the log was last looked at. */
  changed: Set<CommandId>;
  readonly wakes: Set<() => void>;
  readonly hearing: Disposable;
  /** That whoever asks now may wait for. */
  next: Promise<void> | undefined;
  running: Promise<void>;
  sealedAt: number;
  allSealedAt: number;
}

export const makeEventFeed = (deps: Parts): EventFeed => {
  const { clock, changes, log, sealsOnRead, lookEverySeconds, closing } = deps;
  const heardByTenant = new Map<TenantId, Heard>();

  const listenTo = (tenant: TenantId): Heard => {
    const heard: Heard = {
      listeners: 0,
      announced: 0,
      changed: new Set(),
      wakes: new Set(),
      hearing: changes.hear(tenant, (id) => {
        heard.announced++;
        if (id) heard.changed.add(id);
        for (const wake of heard.wakes) wake();
      }),
      next: undefined,
      running: Promise.resolve(),
      sealedAt: 0,
      allSealedAt: 0,
    };
    heardByTenant.set(tenant, heard);
    return heard;
  };

  const seal = async (tenant: TenantId, heard: Heard): Promise<void> => {
    // Loaded by the first who listens: it brings all that is looked for in what happens.
    const { sealTenant } = await import('./seal-audit.ts');
    const look = [...heard.changed];
    heard.changed.clear();
    const now = clock.now();
    const isAll = now - heard.allSealedAt >= LOOK_AT_ALL_EVERY_MS;
    if (isAll) heard.allSealedAt = now;
    try {
      await sealTenant(deps, tenant, isAll ? {} : { look });
      heard.sealedAt = now;
    } catch (error) {
      for (const id of look) heard.changed.add(id);
      log.error('An audit log could not go on', { tenant, error });
    }
  };

  /** Of all who ask at about the same time, once; one after the other. */
  const sealSoon = (tenant: TenantId, heard: Heard): Promise<void> =>
    (heard.next ??= (async () => {
      await clock.sleep(GATHER_MS);
      await heard.running;
      heard.next = undefined;
      heard.running = seal(tenant, heard);
      await heard.running;
    })());

  return {
    watch(tenant) {
      const heard = heardByTenant.get(tenant) ?? listenTo(tenant);
      heard.listeners++;
      let known = -1;
      return {
        async next(timeoutMs) {
          const lookMs = sealsOnRead ? lookEverySeconds * 1_000 : LOOK_EVERY_MS;
          if (known === heard.announced || (!sealsOnRead && known >= 0)) {
            await new Promise<void>((resolve) => {
              const wake = () => {
                heard.wakes.delete(wake);
                closing.removeEventListener('abort', wake);
                callOff();
                resolve();
              };
              const callOff = clock.after(Math.min(timeoutMs, lookMs), wake);
              // What is announced where others seal is not in the log yet.
              if (sealsOnRead) heard.wakes.add(wake);
              // Nobody has to wait for a process that is about to end.
              if (closing.aborted) wake();
              else closing.addEventListener('abort', wake, { once: true });
            });
          }
          const isNews = known !== heard.announced;
          known = heard.announced;
          if (closing.aborted) return;
          if (sealsOnRead && (isNews || clock.now() - heard.sealedAt >= lookMs)) await sealSoon(tenant, heard);
        },
        [Symbol.dispose]() {
          if (--heard.listeners > 0) return;
          heard.hearing[Symbol.dispose]();
          heardByTenant.delete(tenant);
        },
      };
    },
  };
};
