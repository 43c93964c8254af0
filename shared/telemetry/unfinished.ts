import type { Instant } from '../domain/clock.ts';
import { type Command, currentAttempt, isFinal, type Priority, type Status } from '../domain/command.ts';

interface Known {
  readonly tenant: Command['tenant'];
  readonly id: Command['id'];
  readonly status: Status;
  readonly priority: Priority;
  /** When it came to be as it is. */
  readonly since: Instant;
}

/** The commands that have not ended, as this process knows them. */
export interface Unfinished {
  set(command: Command): void;
  remove(command: Pick<Command, 'tenant' | 'id'>): void;
  count(status: Status, priority: Priority): number;
  /** Of those, the one that has been so for the longest. */
  oldest(status: Status, priority: Priority): Known | undefined;
}

export const makeUnfinished = (): Unfinished => {
  const all = new Map<string, Known>();
  /** In the order in which they came to be so, which is nearly that of `since`. */
  const groups = new Map<string, Map<string, Known>>();
  const nameOf = ({ tenant, id }: Pick<Command, 'tenant' | 'id'>): string => `${tenant}/${id}`;
  const groupOf = (status: Status, priority: Priority): Map<string, Known> => {
    const name = `${status}/${priority}`;
    const group = groups.get(name) ?? new Map<string, Known>();
    groups.set(name, group);
    return group;
  };
  const remove = (command: Pick<Command, 'tenant' | 'id'>): void => {
    const name = nameOf(command);
    const known = all.get(name);
    if (!known) return;
    all.delete(name);
    groupOf(known.status, known.priority).delete(name);
  };
  return {
    set(command) {
      const { tenant, id, status, spec } = command;
      const name = nameOf(command);
      if (all.get(name)?.status === status) return;
      remove(command);
      if (isFinal(status)) return;
      const known = { tenant, id, status, priority: spec.priority, since: sinceOf(command) };
      all.set(name, known);
      groupOf(status, spec.priority).set(name, known);
    },
    remove,
    count: (status, priority) => groupOf(status, priority).size,
    oldest: (status, priority) => groupOf(status, priority).values().next().value,
  };
};

const sinceOf = (command: Command): Instant => {
  const attempt = currentAttempt(command);
  if (command.status === 'queued') return attempt?.endedAt ?? command.submittedAt;
  return attempt?.startedAt ?? attempt?.requestedAt ?? command.submittedAt;
};
