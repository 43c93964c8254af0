import type { CommandList } from '../contract/schemas.ts';
import type { Actor } from '../domain/actor.ts';
import type { Status } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import { type CommandId, isCommandId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import type { Deps } from './deps.ts';
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
  { tenant }: Actor,
  { status, label, target, limit = 20, cursor }: ListQuery,
): Promise<CommandList> => {
  const after = cursor === undefined ? undefined : parseCursor(cursor);
  const filter = { status, target, label: label === undefined ? undefined : parseLabel(label) };
  const page = await deps.commands.list(tenant, filter, { limit: Math.min(limit, LIMITS.listItems), after });
  return {
    items: page.commands.map(toSummary),
    ...(page.after === undefined ? {} : { nextCursor: toCursor(page.after) }),
  };
};

/** Opaque to callers. It names a place in the caller's own list, so it gives no right to anything. */
const toCursor = (after: CommandId): string => Buffer.from(`v1:${after}`).toString('base64url');

const parseCursor = (cursor: string): CommandId => {
  const [version, id = ''] = Buffer.from(cursor, 'base64url').toString('latin1').split(':');
  if (version === 'v1' && isCommandId(id)) return id;
  const detail = 'must be a nextCursor of an earlier answer';
  throw new AppError('invalid-request', 'The cursor is not valid. Start again without one.', {
    faults: [{ in: 'query', pointer: '/cursor', detail }],
  });
};

const parseLabel = (label: string): { key: string; value: string } => {
  const colon = label.indexOf(':');
  return { key: label.slice(0, colon), value: label.slice(colon + 1) };
};
