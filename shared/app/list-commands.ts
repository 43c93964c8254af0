import type { CommandList } from '../contract/schemas.ts';
import type { Actor, Scope } from '../domain/actor.ts';
import type { Status } from '../domain/command.ts';
import { type CommandId, isCommandId, type TenantId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import type { Deps } from './deps.ts';
import { invalidCursor, toCursor, toPage } from './paging.ts';
import { toSummary } from './view.ts';

export interface ListQuery {
  readonly status?: Status | undefined;
  /** `key:value` */
  readonly label?: string | undefined;
  readonly target?: string | undefined;
  /** @default 20 */
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

/** One page of the tenant's commands, newest first. @throws AppError 'invalid-request' for a cursor that is not ours */
export const listCommands = async (
  deps: Pick<Deps, 'commands'>,
  { tenant, scope }: Actor,
  { status, label, target, limit = 20, cursor }: ListQuery,
): Promise<CommandList> => {
  const after = cursor === undefined ? undefined : parseCursor(tenant, cursor);
  // Without a prototype: `constructor` is a label as any other.
  const labels: Record<string, string> = Object.assign(Object.create(null), scope.labels);
  const asked = label === undefined ? undefined : parseLabel(label);
  if (asked) {
    // Beyond the caller's scope there is nothing.
    if ((labels[asked.key] ?? asked.value) !== asked.value) return { items: [] };
    labels[asked.key] = asked.value;
  }
  const targets = scopedTargets(scope, target);
  const filter = { status, labels, ...(targets ? { targets } : {}) };
  const page = await deps.commands.list(tenant, filter, { limit: Math.min(limit, LIMITS.listItems), after });
  return {
    items: page.commands.map(toSummary),
    ...(page.after === undefined ? {} : { nextCursor: toCursor(tenant, page.after) }),
  };
};

const scopedTargets = ({ targets }: Scope, asked: string | undefined): readonly string[] | undefined => {
  if (asked === undefined) return targets;
  return targets === undefined || targets.includes(asked) ? [asked] : [];
};

const parseCursor = (tenant: TenantId, cursor: string): CommandId => {
  const { after = '' } = toPage(tenant, { cursor });
  if (isCommandId(after)) return after;
  throw invalidCursor();
};

const parseLabel = (label: string): { key: string; value: string } => {
  const colon = label.indexOf(':');
  return { key: label.slice(0, colon), value: label.slice(colon + 1) };
};
