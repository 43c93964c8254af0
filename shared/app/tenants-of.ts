import { DEFAULT_TENANT } from '../access/rights.ts';
import { type TenantId, toTenantId } from '../domain/ids.ts';
import { keys } from '../store/schema.ts';
import type { Deps } from './deps.ts';

const PAGE = 100;

/** All of an installation, the default one first, without those that were removed: nothing happens there any more. */
export async function* tenantsOf({ principals }: Pick<Deps, 'principals'>): AsyncGenerator<TenantId> {
  const { tenants } = principals;
  yield DEFAULT_TENANT;
  for (let after: string | undefined; ; ) {
    const found = await tenants.list(keys.tenant('' as TenantId).pk, { limit: PAGE, after });
    for (const { id, removal } of found) {
      if (id !== DEFAULT_TENANT && removal?.removedAt === undefined) yield toTenantId(id);
    }
    after = found.at(-1)?.id;
    if (found.length < PAGE) return;
  }
}
