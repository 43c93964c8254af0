import type { TenantId } from '../domain/ids.ts';
import type { Principals } from '../store/principals.ts';
import { keys } from '../store/schema.ts';
import { DEFAULT_TENANT } from './rights.ts';

/** Whether a tenant is being removed, so that nothing of it starts. The owner's never is, and costs no look. */
export const isLeaving = async ({ tenants }: Pick<Principals, 'tenants'>, tenant: TenantId): Promise<boolean> =>
  tenant !== DEFAULT_TENANT && (await tenants.get(keys.tenant(tenant)))?.value.removal !== undefined;
