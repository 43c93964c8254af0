import type { Approval } from '../domain/approvals.ts';
import { AppError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import { keys } from './schema.ts';
import type { Item, Store, Write } from './store.ts';

/** Approvals that were asked for, kept for some days after. */
export interface Approvals {
  find(tenant: TenantId, id: string): Promise<Approval | undefined>;
  list(
    tenant: TenantId,
    page: { readonly limit: number; readonly after?: string | undefined },
  ): Promise<readonly Approval[]>;
  /** In the place of an earlier one of its id. Of two that ask at once, either is as good. */
  ask(tenant: TenantId, approval: Approval, alongside: readonly Write[]): Promise<void>;
  /** Reads, changes and stores, again when someone else was faster. @throws AppError 'conflict' when others were each time; what `change` does */
  change(
    tenant: TenantId,
    id: string,
    change: (approval: Approval) => Approval,
    alongside: readonly Write[],
  ): Promise<Approval | undefined>;
  /** That it is used, to be written with what it is used for. @throws what `change` does */
  changeWrite(tenant: TenantId, id: string, change: (approval: Approval | undefined) => Approval): Promise<Write>;
}

const KEPT_DAYS = 30;
const MOST_TRIES = 5;

export const makeApprovals = (store: Store): Approvals => {
  const itemOf = (tenant: TenantId, approval: Approval, version: number): Item => ({
    ...keys.approval(tenant, approval.id),
    version,
    data: approval,
    expiresAt: approval.expiresAt + KEPT_DAYS * 24 * 3_600_000,
  });
  const changeWrite: Approvals['changeWrite'] = async (tenant, id, change) => {
    const item = await store.get(keys.approval(tenant, id));
    const ifVersion = item?.version ?? 0;
    return { put: itemOf(tenant, change(item?.data as Approval | undefined), ifVersion + 1), ifVersion };
  };

  return {
    async find(tenant, id) {
      return (await store.get(keys.approval(tenant, id)))?.data as Approval | undefined;
    },

    async list(tenant, { limit, after }) {
      const from = after === undefined ? {} : { from: `${after}\0` };
      const items = await store.query(keys.approval(tenant, '').pk, { limit, ...from });
      return items.map(({ data }) => data as Approval);
    },

    async ask(tenant, approval, alongside) {
      await store.write([await changeWrite(tenant, approval.id, () => approval), ...alongside]);
    },

    async change(tenant, id, change, alongside) {
      for (let tries = 1; tries <= MOST_TRIES; tries++) {
        const item = await store.get(keys.approval(tenant, id));
        if (!item) return undefined;
        const next = change(item.data as Approval);
        const put: Write = { put: itemOf(tenant, next, item.version + 1), ifVersion: item.version };
        if ((await store.write([put, ...alongside])).ok) return next;
      }
      throw new AppError('conflict', `${id} is being changed by others. Try again.`);
    },

    changeWrite,
  };
};
