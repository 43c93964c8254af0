import type * as z from 'zod';
import type {
  ApiKeyView,
  CreateApiKey,
  NewApiKeyView,
  RotateApiKey,
  Whoami,
} from '../../shared/contract/access-schemas.ts';
import { allItems, type Json, type Send } from './transport.ts';

export type ApiKey = z.output<typeof ApiKeyView>;
/** With `key`, its text, which is told here and never again. */
export type NewApiKey = z.output<typeof NewApiKeyView>;

/** Who calls, and its keys. */
export interface AccessCalls {
  /** The caller, and what it may do. */
  whoami(): Promise<z.output<typeof Whoami>>;
  /** Makes a key. Not retried, since a repetition would make another. */
  createKey(terms: z.input<typeof CreateApiKey>): Promise<NewApiKey>;
  /** The caller's own keys; all of the tenant's with the permission keys:manage. */
  listKeys(): AsyncGenerator<ApiKey>;
  /** Makes a key with the same terms; the old one stays good for a while. Not retried. */
  rotateKey(id: string, terms?: z.input<typeof RotateApiKey>): Promise<NewApiKey>;
  /** From now on it is not good. */
  revokeKey(id: string): Promise<void>;
}

export const makeAccessCalls = (json: Json, send: Send): AccessCalls => ({
  whoami: () => json('GET', '/v1/whoami'),
  createKey: (terms) => json('POST', '/v1/api-keys', { json: terms, tries: 1 }),
  listKeys: () => allItems(json, '/v1/api-keys'),
  rotateKey: (id, terms = {}) =>
    json('POST', `/v1/api-keys/${encodeURIComponent(id)}/rotate`, { json: terms, tries: 1 }),
  revokeKey: (id) => send('DELETE', `/v1/api-keys/${encodeURIComponent(id)}`),
});
