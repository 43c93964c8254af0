import { AppError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import type { PolicyVersion } from '../domain/policy.ts';
import { keys } from './schema.ts';
import type { Store, Write } from './store.ts';

/** Policies of tenants, version after version. */
export interface Policies {
  /** What holds now; undefined where the tenant never had one. Which version it is, is read each time. */
  present(tenant: TenantId): Promise<PolicyVersion | undefined>;
  get(tenant: TenantId, version: number): Promise<PolicyVersion | undefined>;
  /** The newest first, from the one before `before` on. */
  list(
    tenant: TenantId,
    page: { readonly limit: number; readonly before?: number | undefined },
  ): Promise<readonly PolicyVersion[]>;
  /**
   * Holds from now on, as the version after the present one. With `onVersion`, only if that is the present one.
   * @throws AppError 'conflict' when it is not, or when others were faster each time
   */
  apply(
    tenant: TenantId,
    applied: Omit<PolicyVersion, 'version'>,
    onVersion: number | undefined,
    alongside: (applied: PolicyVersion) => readonly Write[],
  ): Promise<PolicyVersion>;
}

interface PresentData {
  readonly version: number;
}

const MOST_TRIES = 5;
/** Some are 200 KB. */
const MOST_KEPT = 100;

export const makePolicies = (store: Store): Policies => {
  const kept = new Map<string, PolicyVersion>();

  const get: Policies['get'] = async (tenant, version) => {
    const key = keys.policyVersion(tenant, version);
    const name = `${key.pk}/${key.sk}`;
    // A version never changes.
    const known = kept.get(name);
    if (known) return known;
    const found = (await store.get(key))?.data as PolicyVersion | undefined;
    if (!found) return undefined;
    if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value as string);
    kept.set(name, found);
    return found;
  };

  return {
    get,

    async present(tenant) {
      const item = await store.get(keys.policy(tenant));
      if (!item) return undefined;
      const { version } = item.data as PresentData;
      const found = await get(tenant, version);
      if (!found) throw new AppError('unavailable', `Version ${version} of the policy is missing. Apply one again.`);
      return found;
    },

    async list(tenant, { limit, before }) {
      const { pk } = keys.policy(tenant);
      const from = keys.policyVersion(tenant, 0).sk;
      const to = keys.policyVersion(tenant, before === undefined ? 99_999_999 : before - 1).sk;
      const items = before === 0 ? [] : await store.query(pk, { from, to, limit, reverse: true });
      return items.map(({ data }) => data as PolicyVersion);
    },

    async apply(tenant, applied, onVersion, alongside) {
      for (let tries = 1; tries <= MOST_TRIES; tries++) {
        const item = await store.get(keys.policy(tenant));
        const present = (item?.data as PresentData | undefined)?.version ?? 0;
        if (onVersion !== undefined && onVersion !== present) {
          throw new AppError(
            'conflict',
            `The policy is of version ${present} by now, not ${onVersion}. Read it again.`,
          );
        }
        const version: PolicyVersion = { ...applied, version: present + 1 };
        const data: PresentData = { version: version.version };
        const stored = item?.version ?? 0;
        const written = await store.write([
          { put: { ...keys.policy(tenant), version: stored + 1, data }, ifVersion: stored },
          { put: { ...keys.policyVersion(tenant, version.version), version: 1, data: version }, ifVersion: 0 },
          ...alongside(version),
        ]);
        if (written.ok) return version;
      }
      throw new AppError('conflict', 'The policy is being changed by others. Try again.');
    },
  };
};
