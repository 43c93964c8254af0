import type * as z from 'zod';
import type { SecretView, StoredSecretView } from '../../shared/contract/secret-schemas.ts';
import { allItems, type Json, type Send } from './transport.ts';

export type Secret = z.output<typeof SecretView>;
/** With `warnings`: what to know of this value, such as that it is too short to be masked. */
export type StoredSecret = z.output<typeof StoredSecretView>;

/** Named values that commands are given by reference. */
export interface SecretCalls {
  /** Stores a secret, or a new value of one. Resolves once it is stored durably. */
  putSecret(name: string, bytes: Uint8Array): Promise<StoredSecret>;
  /** All secrets by name, page after page, without their values. */
  listSecrets(): AsyncGenerator<Secret>;
  /** Commands that need it and have not started will fail. Twice is the same as once. */
  removeSecret(name: string): Promise<void>;
}

const pathOf = (name: string): string => `/v1/secrets/${encodeURIComponent(name)}`;

export const makeSecretCalls = (json: Json, send: Send): SecretCalls => ({
  // Twice it is a version more, of the same value.
  putSecret: (name, bytes) => json('PUT', pathOf(name), { json: { valueBase64: toBase64(bytes) } }),
  listSecrets: () => allItems(json, '/v1/secrets'),
  removeSecret: (name) => send('DELETE', pathOf(name)),
});

/** In pieces, since a call takes only so many arguments. */
const toBase64 = (bytes: Uint8Array): string => {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8_192) text += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return btoa(text);
};
