import type { AuditEvent } from '../domain/audit.ts';
import { type Command, isFinal } from '../domain/command.ts';
import { type CommandId, isCommandId } from '../domain/ids.ts';
import type { OpenCommand, PendingEvent } from '../store/audit-log.ts';
import { endOf, startsOf, submissionOf } from './audit-events.ts';

/** How many are read at once. */
export const READ_AT_ONCE = { pending: 100, open: 100, commands: 200 } as const;

/** Of each kind in one write, which has 100 parts at most. */
const MOST_PENDING = 20;
const MOST_CHANGED = 20;
const MOST_OPENED = 20;
const MOST_ACTORS = 10;
/** An item is 400 KB at most. */
const MOST_ENTRIES = 500;

/** What has no place in a tenant's log yet, as far as it was read. */
export interface Unsealed {
  /** The oldest first. */
  readonly pending: readonly PendingEvent[];
  readonly open: readonly OpenCommand[];
  /** Of those that are open, by id. */
  readonly records: ReadonlyMap<CommandId, Command>;
  /** In the order of their ids. */
  readonly fresh: readonly Command[];
  /** Commands up to this one are in the log. */
  readonly commandsTo: CommandId | undefined;
}

/** What comes next in the log: as much as fits into one write. */
export interface Next {
  readonly events: readonly AuditEvent[];
  readonly sealed: readonly PendingEvent[];
  /** Of those that are new, as many as have their place now. */
  readonly taken: readonly Command[];
  readonly opened: readonly Omit<OpenCommand, 'version'>[];
  readonly moved: readonly OpenCommand[];
  readonly ended: readonly CommandId[];
  /** How many of those that are open were looked at to the end. */
  readonly looked: number;
  readonly isMore: boolean;
}

/**
 * Orders what happened: of each command its submission first and its end last, and in between by time. What waits and is about a
 * command whose submission has no place yet, waits on; and an end waits for what came before it.
 */
export const nextInLog = ({ pending, open, records, fresh, commandsTo = '' as CommandId }: Unsealed): Next => {
  const openIds = new Set<string>(open.map(({ id }) => id));
  const hasPlace = (id: CommandId | undefined) => id === undefined || id <= commandsTo || openIds.has(id);
  const known = pending.filter(({ event }) => hasPlace(commandOf(event))).slice(0, MOST_PENDING);
  const waiting = new Map<string, readonly PendingEvent[]>();
  for (const one of pending) {
    const id = commandOf(one.event);
    if (id && !known.includes(one)) waiting.set(id, [...(waiting.get(id) ?? []), one]);
  }
  // What was not read may be about a command that has ended.
  const endsWait = pending.length === READ_AT_ONCE.pending;
  const { taken, own } = take(fresh, { waiting, endsWait, mostPending: MOST_PENDING - known.length });
  const sealed = [...known, ...own];
  for (const { id, event } of own) {
    const left = waiting.get(event.subject)?.filter((one) => one.id !== id) ?? [];
    if (left.length > 0) waiting.set(event.subject, left);
    else waiting.delete(event.subject);
  }
  const told = taken.filter(({ loggedApart }) => !loggedApart);
  const present = new Set<string>([...open, ...told].map(({ id }) => id));
  const isAbout = (id: string) => sealed.flatMap(({ event }) => (event.subject === id ? [event] : []));
  const events = sealed.flatMap(({ event }) => (present.has(event.subject) ? [] : [event]));
  const [moved, ended, opened] = [[] as OpenCommand[], [] as CommandId[], [] as Omit<OpenCommand, 'version'>[]];
  /** Starts and what was stored of it by time, then its end. */
  const tell = (command: Command, after: number) => {
    const starts = startsOf(command, after);
    const end = endsWait || waiting.has(command.id) ? undefined : endOf(command);
    events.push(...[...isAbout(command.id), ...starts].sort(byTime), ...(end ? [end] : []));
    return { attempt: Number(starts.at(-1)?.details['attempt'] ?? after), isEnded: end !== undefined };
  };
  const look = (one: OpenCommand) => {
    const command = records.get(one.id);
    if (!command) return events.push(...isAbout(one.id));
    const { attempt, isEnded } = tell(command, one.attempt);
    if (isEnded) return ended.push(one.id);
    return attempt > one.attempt && moved.push({ ...one, attempt });
  };
  // What is taken from those that wait has its place now: there are never too many of them.
  const named = new Set(sealed.map(({ event }) => event.subject));
  for (const one of open) if (named.has(one.id)) look(one);
  let looked = 0;
  for (const one of open) {
    if (!named.has(one.id)) {
      if (moved.length + ended.length === MOST_CHANGED) break;
      look(one);
    }
    looked++;
  }
  for (const command of told) {
    events.push(submissionOf(command));
    const { attempt, isEnded } = tell(command, 0);
    if (!isEnded) opened.push({ id: command.id, attempt });
  }
  const isMore =
    sealed.length === MOST_PENDING ||
    (endsWait && sealed.length > 0) ||
    looked < open.length ||
    taken.length < fresh.length ||
    fresh.length === READ_AT_ONCE.commands;
  return { events, sealed, taken, opened, moved, ended, looked: endsWait ? 0 : looked, isMore };
};

const commandOf = ({ subject }: AuditEvent): CommandId | undefined => (isCommandId(subject) ? subject : undefined);

/** Its submission, where it waits too, is the first of what is told of a command, also within one millisecond. */
const byTime = (a: AuditEvent, b: AuditEvent): number =>
  Number(isSubmission(b)) - Number(isSubmission(a)) || Number(a.at > b.at) - Number(a.at < b.at);

const isSubmission = ({ type }: AuditEvent): boolean => type === 'command.submitted';

/** As many of the first as fit into one write with what waits for them, by what each takes of it; some of what waits for the last. */
const take = (
  commands: readonly Command[],
  {
    waiting,
    endsWait,
    mostPending,
  }: {
    readonly waiting: ReadonlyMap<string, readonly PendingEvent[]>;
    readonly endsWait: boolean;
    readonly mostPending: number;
  },
): { readonly taken: readonly Command[]; readonly own: readonly PendingEvent[] } => {
  const taken: Command[] = [];
  const own: PendingEvent[] = [];
  const actors = new Set<string>();
  let [opened, entries] = [0, 0];
  for (const command of commands) {
    const { id, status, submittedBy, attempts } = command;
    const all = waiting.get(id) ?? [];
    const fitting = all.slice(0, mostPending - own.length);
    entries += 2 + fitting.length + attempts.length;
    opened += isFinal(status) && !endsWait && fitting.length === all.length ? 0 : 1;
    if (opened > MOST_OPENED || entries > MOST_ENTRIES || actors.add(submittedBy).size > MOST_ACTORS) break;
    taken.push(command);
    own.push(...fitting);
    if (fitting.length < all.length) break;
  }
  return { taken, own };
};
