import { makeSigner } from '../../shared/audit/signing.ts';

const signer = makeSigner('0123456789abcdef'.repeat(4));

/** As a composition root chooses it, with a key that is always the same. */
export const testAudit = {
  signer: async () => signer,
  keepCheckpoint: async () => {},
  auditSettleSeconds: 0,
  sealsOnRead: true,
  removalSettleSeconds: 30,
} as const;
