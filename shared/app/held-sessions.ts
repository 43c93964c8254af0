import type { Instant } from '../domain/clock.ts';
import type { CommandId } from '../domain/ids.ts';
import type { Session, SessionId } from '../domain/sessions.ts';
import type { Shell } from '../providers/provider.ts';

/** A session whose shell is in the hands of this process. */
export interface HeldSession {
  readonly session: Session;
  readonly shell: Shell;
  lastUsedAt: Instant;
  /** What the shell executes. */
  running: CommandId | undefined;
  /** Those whose turn comes later, by id, which is by submission. One of them may have been canceled since. */
  readonly line: CommandId[];
  /** Submissions that are being decided about. */
  admitting: number;
  /** It takes nothing any more. */
  ending: boolean;
}

/** The sessions that this process holds. */
export interface HeldSessions {
  find(id: SessionId | string): HeldSession | undefined;
  all(): readonly HeldSession[];
  hold(session: Session, shell: Shell): HeldSession;
  drop(id: SessionId): void;
}

export const makeHeldSessions = (): HeldSessions => {
  const held = new Map<string, HeldSession>();
  return {
    find: (id) => held.get(id),
    all: () => [...held.values()],
    hold(session, shell) {
      const one: HeldSession = {
        ...{
          session,
          shell,
          lastUsedAt: session.lastUsedAt,
          running: undefined,
          line: [],
          admitting: 0,
          ending: false,
        },
      };
      held.set(session.id, one);
      return one;
    },
    drop: (id) => void held.delete(id),
  };
};

export const isBusy = ({ running, line, admitting }: HeldSession): boolean =>
  running !== undefined || line.length > 0 || admitting > 0;

/** Puts a command in its place in the line. */
export const lineUp = ({ line, running }: HeldSession, id: CommandId): void => {
  if (running === id || line.includes(id)) return;
  const at = line.findIndex((other) => other > id);
  line.splice(at < 0 ? line.length : at, 0, id);
};

export const leaveLine = ({ line }: HeldSession, id: CommandId): void => {
  const at = line.indexOf(id);
  if (at >= 0) line.splice(at, 1);
};
