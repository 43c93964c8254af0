import type * as z from 'zod';
import { unauthenticated } from '../access/access.ts';
import { hasHash } from '../access/secret-text.ts';
import {
  makeNonce,
  nextPair,
  parseRefreshToken,
  type TokenPair,
  toHashedPair,
  useOfRefreshToken,
} from '../access/session-token.ts';
import type { RefreshSessionToken } from '../contract/session-token-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import type { AppError } from '../domain/errors.ts';
import type { SessionToken } from '../domain/session-tokens.ts';
import { keys } from '../store/schema.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { type NewSessionToken, revoked, toNewView } from './session-tokens.ts';

type Parts = Pick<Deps, 'access' | 'principals' | 'clock' | 'random' | 'auditLog' | 'log'>;

/** The same whatever is wrong with it: who guesses learns nothing. */
const notGood = (): AppError =>
  unauthenticated('The refresh token is not good: unknown, used, expired or revoked. Trade your key once more.');

/**
 * A new session token and a new refresh token in the place of both. Whoever shows the old one again within the overlap, as the answer was lost or
 * another was faster, gets the same two again; later that is reuse, and none of them is good any more.
 * @throws AppError 'unauthenticated', also when what it was traded for is no longer good
 */
export const refreshSessionToken = async (
  deps: Parts,
  { refreshToken }: z.output<typeof RefreshSessionToken>,
): Promise<NewSessionToken> => {
  const { access, principals, clock } = deps;
  const text = parseRefreshToken(refreshToken);
  if (!text) throw notGood();
  const key = keys.sessionToken(text.tenant, text.id);
  const found = (await principals.sessionTokens.get(key))?.value;
  // Only who had one of its tokens knows its family: nobody can have a stranger's revoked by a guess.
  if (!found || !hasHash(text.family, found.familyHash)) throw notGood();
  const actor = await access.actorOf(text.tenant, found);
  if (!actor) throw notGood();

  // What the last look showed: of two that come at once, the second by the store finds that it was just used.
  const seen: { pair?: TokenPair | undefined; isReuse: boolean } = { isReuse: false };
  const session = await principals.sessionTokens.change(key, (latest) => {
    const use = useOfRefreshToken(latest, refreshToken, clock.now());
    seen.isReuse = use === 'reuse';
    seen.pair = use === 'again' && latest.replaced ? nextPair(refreshToken, latest.replaced.nonce) : undefined;
    if (use !== 'first') return undefined;
    const nonce = makeNonce(deps.random);
    seen.pair = nextPair(refreshToken, nonce);
    return renewed(latest, seen.pair, { at: clock.now(), nonce });
  });
  if (session && seen.pair) return toNewView(session, seen.pair, clock.now());
  if (seen.isReuse) await revokeReused(deps, actor, found);
  throw notGood();
};

const renewed = (
  session: SessionToken,
  pair: TokenPair,
  { at, nonce }: { readonly at: number; readonly nonce: string },
): SessionToken => ({
  ...session,
  pair: toHashedPair(pair, at, session.refreshExpiresAt),
  replaced: { pair: session.pair, at, nonce },
});

const BECAUSE = 'A refresh token was shown again after another had taken its place: two have what only one should.';

/** Which of the two is the honest one cannot be told: it ends for both (RFC 9700, section 4.14.2). */
const revokeReused = async (deps: Parts, actor: Actor, { id }: SessionToken): Promise<void> => {
  const { principals, clock, log } = deps;
  const details = { kind: 'refresh-reuse', because: BECAUSE };
  const events = [
    auditWrite(deps, actor, 'session-token.reused', id),
    auditWrite(deps, actor, 'security.alert', id, details),
  ];
  const key = keys.sessionToken(actor.tenant, id);
  await principals.sessionTokens.change(key, (latest) => revoked(latest, clock.now()), events);
  log.warn('Something looks wrong', { ...details, tenant: actor.tenant, sessionToken: id });
};
