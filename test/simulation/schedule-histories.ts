import type { Schedule } from '../../shared/domain/schedules.ts';
import type { Item } from '../../shared/store/store.ts';
import type { ScheduleHistory, SeenFiring } from './history.ts';

interface Watched {
  readonly first: Schedule;
  latest: Schedule;
  /** By all that tells one from another. */
  readonly firings: Map<string, SeenFiring>;
}

/** Keeps what became of schedules' instants, of which a schedule itself keeps but the last. */
export interface ScheduleHistories {
  /** Told of each item that is stored. */
  saw(item: Item): void;
  /** How many have instants left. */
  open(): number;
  all(): readonly ScheduleHistory[];
}

export const watchSchedules = (): ScheduleHistories => {
  const watched = new Map<string, Watched>();
  const open = new Set<string>();
  const hasEnded = ({ next, waiting }: Schedule): boolean => next === undefined && waiting.length === 0;
  return {
    saw({ sk, data }) {
      if (sk !== 'schedule') return;
      const latest = data as Schedule;
      const one = watched.get(latest.id) ?? { first: latest, latest, firings: new Map() };
      watched.set(latest.id, one);
      one.latest = latest;
      if (hasEnded(latest)) open.delete(latest.id);
      else open.add(latest.id);
      for (const { at, outcome, command, reason, count } of latest.history) {
        const firing = { at, outcome, ...(command ? { command } : {}), ...(reason ? { reason } : {}) };
        one.firings.set(`${at} ${outcome} ${command} ${count}`, { ...firing, ...(count ? { count } : {}) });
      }
    },
    open: () => open.size,
    all: () => [...watched.values()].map(toHistory),
  };

  function toHistory({ first, latest, firings }: Watched): ScheduleHistory {
    const { id, timing, next = 0, overlap, catchUp } = first;
    if (timing.kind !== 'every') throw new Error('Only rates are watched.');
    return {
      ...{ id, overlap, catchUp, from: next, until: timing.endAt ?? next, everyMs: timing.everySeconds * 1_000 },
      hasEnded: hasEnded(latest),
      firings: [...firings.values()],
    };
  }
};
