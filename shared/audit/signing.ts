import { createHash, createPrivateKey, createPublicKey, hkdfSync, sign, verify } from 'node:crypto';
import type { Checkpoint, SignedCheckpoint } from '../domain/audit.ts';
import { canonical } from './chain.ts';

/** Signs for an installation. */
export interface Signer {
  /** Its public key: SPKI, in base 64. */
  readonly publicKey: string;
  sign(value: unknown): Signature;
}

export interface Signature {
  /** Names the public key. */
  readonly key: string;
  /** Ed25519 over the value's canonical JSON, in base 64. */
  readonly signature: string;
}

/** PKCS #8 of an Ed25519 key, up to its 32 bytes (RFC 8410, section 7). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');

/** @param secret Of 32 random bytes or more, in whatever letters; the key is derived from it (RFC 5869) and stands nowhere */
export const makeSigner = (secret: string): Signer => {
  const seed = Buffer.from(hkdfSync('sha256', secret, '', 'errand: signatures of the audit log', 32));
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).toString('base64');
  const key = keyIdOf(publicKey);
  return {
    publicKey,
    sign: (value) => ({ key, signature: sign(null, Buffer.from(canonical(value)), privateKey).toString('base64') }),
  };
};

/** @param publicKey SPKI, in base 64 */
const keyIdOf = (publicKey: string): string =>
  createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('hex').slice(0, 16);

/** Whether the value was signed by that key. False, too, for what is no key or no signature. */
export const isSigned = (value: unknown, { key, signature }: Signature, publicKey: string): boolean => {
  if (key !== keyIdOf(publicKey)) return false;
  try {
    const object = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
    if (object.asymmetricKeyType !== 'ed25519') return false;
    return verify(null, Buffer.from(canonical(value)), object, Buffer.from(signature, 'base64'));
  } catch {
    return false;
  }
};

export const signCheckpoint = (signer: Signer, checkpoint: Checkpoint): SignedCheckpoint => ({
  checkpoint,
  ...signer.sign(checkpoint),
});
