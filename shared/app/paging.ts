import { AppError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';

export interface PageQuery {
  /** @default 20 */
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

interface Page {
  readonly limit: number;
  readonly after: string | undefined;
}

/** @throws AppError 'invalid-request' for a cursor that is not one of the tenant's */
export const toPage = (tenant: TenantId, { limit = 20, cursor }: PageQuery): Page => ({
  limit: Math.min(limit, LIMITS.listItems),
  after: cursor === undefined ? undefined : parseCursor(tenant, cursor),
});

/** Opaque to callers. It names a place in the tenant's own list, so it gives no right to anything. */
export const toCursor = (tenant: TenantId, after: string): string =>
  Buffer.from(`v2:${tenant}:${after}`).toString('base64url');

/** The cursor behind a full page; a short one is the last. */
export const nextCursor = (
  tenant: TenantId,
  ids: readonly string[],
  limit: number,
): { readonly nextCursor?: string } => {
  const last = ids.at(-1);
  return last === undefined || ids.length < limit ? {} : { nextCursor: toCursor(tenant, last) };
};

const parseCursor = (tenant: TenantId, cursor: string): string => {
  const text = Buffer.from(cursor, 'base64url').toString('latin1');
  const [, whose, after] = /^v2:([a-z0-9-]{1,63}):([\x21-\x7e]{1,255})$/.exec(text) ?? [];
  if (after !== undefined && whose === tenant) return after;
  throw invalidCursor();
};

export const invalidCursor = (): AppError => {
  const detail = 'must be a nextCursor of an earlier answer';
  return new AppError('invalid-request', 'The cursor is not valid. Start again without one.', {
    faults: [{ in: 'query', pointer: '/cursor', detail }],
  });
};
