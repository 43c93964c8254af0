import { createHash, timingSafeEqual } from 'node:crypto';
import type { Actor } from '../domain/actor.ts';
import { AppError } from '../domain/errors.ts';
import { toTenantId } from '../domain/ids.ts';

/** Who calls. */
export interface Access {
  /**
   * The caller by the bearer token of the request.
   * @throws AppError 'unauthenticated' when there is none or it is not good
   */
  authenticate(token: string | undefined): Promise<Actor>;
}

const OWNER: Actor = { id: 'owner', tenant: toTenantId('default') };

/** The embedded server's: whoever reaches its loopback address is the owner. */
export const ownerAccess: Access = { authenticate: async () => OWNER };

/** One key for the owner of the installation. `readKey` gives it, and is asked once. */
export const keyAccess = (readKey: () => Promise<string>): Access => {
  let reading: Promise<string> | undefined;
  const ownKey = (): Promise<string> => {
    reading ??= readKey();
    // A read that failed must not lock everyone out for as long as the process lives.
    reading.catch(() => (reading = undefined));
    return reading;
  };
  return {
    async authenticate(token) {
      if (token === undefined) throw unauthenticated('This needs a key: Authorization: Bearer <key>.');
      if (!isSameSecret(token, await ownKey())) throw unauthenticated('The key is not good.');
      return OWNER;
    },
  };
};

/** In constant time. What is compared has equal lengths, so that it tells nothing of the secret's. */
export const isSameSecret = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b));

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** For a runner's token, the same whatever is wrong with it: who guesses learns nothing. */
export const noRight = (): AppError =>
  unauthenticated('This needs the token of an attempt: Authorization: Bearer <token>.');

const unauthenticated = (detail: string): AppError =>
  new AppError('unauthenticated', detail, { headers: { 'www-authenticate': 'Bearer' } });
