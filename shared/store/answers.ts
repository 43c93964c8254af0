import type { Instant } from '../domain/clock.ts';
import type { CommandId, TenantId } from '../domain/ids.ts';
import { keys } from './schema.ts';
import type { Store } from './store.ts';

/** Which command of a tenant was asked a question last: a hint, whose command says whether it has an answer. */
export interface Answers {
  /** `version` is 0 where nobody has asked. */
  find(tenant: TenantId, question: string): Promise<{ readonly id?: CommandId; readonly version: number }>;
  /** Kept until `expiresAt`. Of two at once either is right: false for the one that is not kept. */
  keep(
    tenant: TenantId,
    question: string,
    next: { readonly id: CommandId; readonly expiresAt: Instant; readonly version: number },
  ): Promise<boolean>;
}

export const makeAnswers = (store: Store): Answers => ({
  async find(tenant, question) {
    const item = await store.get(keys.answer(tenant, question));
    return item ? { id: (item.data as { id: CommandId }).id, version: item.version } : { version: 0 };
  },

  async keep(tenant, question, { id, expiresAt, version }) {
    const put = { ...keys.answer(tenant, question), version: version + 1, data: { id }, expiresAt };
    return (await store.write([{ put, ifVersion: version }])).ok;
  },
});
