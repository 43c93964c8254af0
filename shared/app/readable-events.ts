import { type Actor, isInScope } from '../domain/actor.ts';
import type { AuditEntry } from '../domain/audit.ts';
import { type EventType, permissionOfEvent, type StoredEvent, toStoredEvent } from '../domain/events.ts';
import { isCommandId } from '../domain/ids.ts';
import type { Deps } from './deps.ts';

export const mayReadEvent = ({ permissions }: Pick<Actor, 'permissions'>, type: EventType): boolean =>
  permissions.has(permissionOfEvent(type));

/** Of some entries the events that an actor may read. Beyond its scope there is nothing; who has one reads of the commands within it alone. */
export const readableEvents = async (
  deps: Pick<Deps, 'commands'>,
  actor: Pick<Actor, 'permissions' | 'scope' | 'tenant'>,
  { type, command }: { readonly type?: readonly EventType[] | undefined; readonly command?: string | undefined },
  entries: readonly AuditEntry[],
): Promise<readonly StoredEvent[]> => {
  const events = entries
    .map(toStoredEvent)
    .filter(
      (event) =>
        mayReadEvent(actor, event.type) &&
        (type === undefined || type.includes(event.type)) &&
        (command === undefined || event.subject === command),
    );
  const { targets, labels } = actor.scope;
  if (targets === undefined && labels === undefined) return events;
  const ids = [...new Set(events.flatMap(({ subject }) => (isCommandId(subject) ? subject : [])))];
  const commands = await deps.commands.findAll(actor.tenant, ids);
  const within = new Set<string>(commands.filter((one) => isInScope(actor.scope, one)).map(({ id }) => id));
  return events.filter(({ subject }) => within.has(subject));
};
