import type { TenantId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import type { Session } from '../domain/sessions.ts';
import { makeRecords } from './records.ts';
import { keys } from './schema.ts';
import type { Store, Write } from './store.ts';

/** What is kept of warm shells, above the store. */
export interface Sessions {
  find(tenant: TenantId, id: string): Promise<Session | undefined>;
  /** @throws AppError 'conflict' when the id is taken */
  add(session: Session): Promise<void>;
  /** Reads, changes and stores; undefined from `change` leaves it as it is. Undefined when it is not there. */
  change(
    session: Pick<Session, 'tenant' | 'id'>,
    change: (session: Session) => Session | undefined,
    alongside: readonly Write[],
  ): Promise<Session | undefined>;
  /** By id. */
  list(
    tenant: TenantId,
    page: { readonly limit: number; readonly after?: string | undefined },
  ): Promise<readonly Session[]>;
  /** All of a tenant's. */
  all(tenant: TenantId): AsyncGenerator<Session>;
}

const PAGE = 100;

export const makeSessions = (store: Store): Sessions => {
  const records = makeRecords<Session>(store, ({ endedAt }) =>
    endedAt === undefined ? {} : { expiresAt: endedAt + LIMITS.sessionKeptSeconds * 1_000 },
  );
  const list: Sessions['list'] = (tenant, page) => records.list(keys.session(tenant, '').pk, page);
  return {
    async find(tenant, id) {
      return (await records.get(keys.session(tenant, id)))?.value;
    },
    add: (session) => records.add(keys.session(session.tenant, session.id), session),
    change: ({ tenant, id }, change, alongside) => records.change(keys.session(tenant, id), change, alongside),
    list,
    async *all(tenant) {
      for (let after: string | undefined; ; ) {
        const found = await list(tenant, { limit: PAGE, after });
        yield* found;
        after = found.at(-1)?.id;
        if (found.length < PAGE) return;
      }
    },
  };
};
