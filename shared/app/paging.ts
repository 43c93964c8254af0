import { AppError } from '../domain/errors.ts';
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

/** @throws AppError 'invalid-request' for a cursor that is not ours */
export const toPage = ({ limit = 20, cursor }: PageQuery): Page => ({
  limit: Math.min(limit, LIMITS.listItems),
  after: cursor === undefined ? undefined : parseCursor(cursor),
});

/** Opaque to callers. It names a place in the caller's own list, so it gives no right to anything. */
export const toCursor = (after: string): string => Buffer.from(`v1:${after}`).toString('base64url');

/** The cursor behind a full page; a short one is the last. */
export const nextCursor = (ids: readonly string[], limit: number): { readonly nextCursor?: string } => {
  const last = ids.at(-1);
  return last === undefined || ids.length < limit ? {} : { nextCursor: toCursor(last) };
};

const parseCursor = (cursor: string): string => {
  const [, after] = /^v1:([\x21-\x7e]{1,255})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  if (after !== undefined) return after;
  throw invalidCursor();
};

export const invalidCursor = (): AppError => {
  const detail = 'must be a nextCursor of an earlier answer';
  return new AppError('invalid-request', 'The cursor is not valid. Start again without one.', {
    faults: [{ in: 'query', pointer: '/cursor', detail }],
  });
};
