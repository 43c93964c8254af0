import { createRemoteJWKSet, customFetch, decodeJwt, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import * as z from 'zod';
import type { Clock, Instant } from '../domain/clock.ts';
import { TENANT_ID, type TenantId } from '../domain/ids.ts';
import { oddNameIn } from '../domain/json.ts';
import type { Identity } from '../domain/principals.ts';
import type { Egress } from '../egress/egress.ts';
import type { Log } from '../telemetry/log.ts';

/** Asymmetric only: with a shared secret whoever verifies could also issue. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;
const MOST_LEEWAY_SECONDS = 60;

/** An issuer whose access tokens are good here, as an installation configures it. */
export const IssuerConfig = z.strictObject({
  /** Compared exactly with `iss`. */
  issuer: z.url({ protocol: /^https$/ }),
  /** Must be in `aud`: this installation's own name at the issuer. */
  audience: z.string().min(1),
  /** Whose members its tokens speak for. A token cannot choose. */
  tenant: z.string().regex(TENANT_ID) as unknown as z.ZodType<TenantId>,
  /** Its public keys (RFC 7517). Without it: where its own metadata say (OpenID Connect Discovery 1.0, section 4). */
  jwksUrl: z.url({ protocol: /^https$/ }).optional(),
  algorithms: z.array(z.enum(ALGORITHMS)).min(1).default(['RS256', 'PS256', 'ES256', 'EdDSA']),
  /** `at+jwt` is that of RFC 9068. Issuers that say `JWT` cannot be told from their ID tokens but by the audience. */
  tokenType: z.enum(['at+jwt', 'JWT']).default('at+jwt'),
  /** For clocks that differ. */
  leewaySeconds: z.int().min(0).max(MOST_LEEWAY_SECONDS).default(5),
});
export type IssuerConfig = z.output<typeof IssuerConfig>;

const AccessFile = z.strictObject({ issuers: z.array(IssuerConfig).max(10) });

/** @throws Error in words for a person, with a pointer to each fault */
export const parseIssuers = (text: string): readonly IssuerConfig[] => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error('it is not JSON', { cause });
  }
  const parsed = AccessFile.safeParse(value);
  if (parsed.success) return parsed.data.issuers;
  throw new Error(parsed.error.issues.map(({ path, message }) => `/${path.join('/')}: ${message}`).join('; '));
};

/** What a good token says. */
export interface AccessToken {
  readonly tenant: TenantId;
  readonly identity: Identity;
  /** `jti`, where there is one. */
  readonly id: string | undefined;
  readonly expiresAt: Instant;
}

export interface AccessTokens {
  /** Whose tokens are good. */
  readonly issuers: readonly string[];
  /** What a token says; undefined when it is not good, for whatever reason, also that its issuer's keys cannot be had. */
  verify(token: string): Promise<AccessToken | undefined>;
}

export interface AccessTokensOptions {
  readonly issuers: readonly IssuerConfig[];
  readonly egress: Pick<Egress, 'send'>;
  readonly clock: Clock;
  readonly log: Log;
}

const MOST_TOKEN_CHARACTERS = 16 * 1024;
/** Keys are asked for again at most so often, however many unknown ones tokens name. */
const COOLDOWN_MS = 30_000;
const KEYS_ARE_GOOD_FOR_MS = 600_000;

/**
 * Verifies JWT access tokens of the configured issuers (RFC 9068, RFC 8725). Which keys and algorithms count is the configuration's to say,
 * never the token's.
 */
export const makeAccessTokens = ({ issuers, egress, clock, log }: AccessTokensOptions): AccessTokens => {
  const byIssuer = new Map(issuers.map((config) => [config.issuer, { config, keys: keysOf(config, egress, clock) }]));
  return {
    issuers: [...byIssuer.keys()],
    async verify(token) {
      const from = byIssuer.get(issuerOf(token) ?? '');
      if (!from) return undefined;
      const { issuer, audience, algorithms, leewaySeconds, tokenType, tenant } = from.config;
      try {
        const { payload } = await jwtVerify(token, from.keys, {
          ...{ issuer, audience, typ: tokenType },
          algorithms: [...algorithms],
          clockTolerance: leewaySeconds,
          currentDate: new Date(clock.now()),
          requiredClaims: ['sub', 'exp', 'iat'],
        });
        const { sub, iat, exp, jti } = payload;
        if (typeof sub !== 'string' || sub === '' || typeof iat !== 'number') return undefined;
        // 1e99 is a number, and never over.
        if (exp === undefined || !Number.isSafeInteger(exp)) return undefined;
        // jose looks at this only where a greatest age is asked for.
        if (iat > clock.now() / 1_000 + leewaySeconds) return undefined;
        const id = typeof jti === 'string' ? jti : undefined;
        return { tenant, identity: { issuer, subject: sub }, id, expiresAt: exp * 1_000 };
      } catch (error) {
        // What is wrong is for the operator; of the token itself nothing is said.
        log.info('An access token is not good', { issuer, why: codeOf(error) });
        return undefined;
      }
    },
  };
};

const keysOf = ({ issuer, jwksUrl }: IssuerConfig, egress: Pick<Egress, 'send'>, clock: Clock): JWTVerifyGetKey => {
  if (jwksUrl !== undefined) return remoteKeys(jwksUrl, egress);
  let found: Promise<JWTVerifyGetKey> | undefined;
  let failedAt = Number.NEGATIVE_INFINITY;
  return async (...asked) => {
    // An issuer that is away is not asked with every token.
    if (!found && clock.now() - failedAt < COOLDOWN_MS) throw new NotDiscovered('not again so soon');
    found ??= discoverKeys(issuer, egress).then((url) => remoteKeys(url, egress));
    const getKey = await found.catch((error: unknown) => {
      [found, failedAt] = [undefined, clock.now()];
      throw error;
    });
    return getKey(...asked);
  };
};

class NotDiscovered extends Error {
  override readonly name = 'NotDiscovered';
}

const Metadata = z.object({ issuer: z.string(), jwks_uri: z.url({ protocol: /^https$/ }) });

/** Where an issuer says that its keys are. It has to say who it is in the same words (RFC 8414, section 3.3). */
const discoverKeys = async (issuer: string, egress: Pick<Egress, 'send'>): Promise<string> => {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const { status, body } = await egress.send({ url, headers: { accept: 'application/json' } });
  if (status !== 200) throw new NotDiscovered(`its metadata were answered with ${status}`);
  const metadata = Metadata.parse(JSON.parse(Buffer.from(body).toString('utf8')));
  if (metadata.issuer !== issuer) throw new NotDiscovered('its metadata are another issuer’s');
  return metadata.jwks_uri;
};

const remoteKeys = (jwksUrl: string, egress: Pick<Egress, 'send'>): JWTVerifyGetKey =>
  createRemoteJWKSet(new URL(jwksUrl), {
    cooldownDuration: COOLDOWN_MS,
    cacheMaxAge: KEYS_ARE_GOOD_FOR_MS,
    [customFetch]: async (url) => {
      const { status, body } = await egress.send({
        url,
        headers: { accept: 'application/jwk-set+json, application/json' },
      });
      return new Response(new Uint8Array(body), { status });
    },
  });

/** Whose it says to be: only to choose by which keys it has to be good. */
const issuerOf = (token: string): string | undefined => {
  if (token.length > MOST_TOKEN_CHARACTERS || !isCanonical(token)) return undefined;
  let claims: JWTPayload;
  try {
    claims = decodeJwt(token);
    // Others may take the first of two audiences where we take the last (RFC 7519, section 4).
    if (token.split('.', 2).some((part) => oddNameIn(Buffer.from(part, 'base64url').toString()))) return undefined;
  } catch {
    return undefined;
  }
  return typeof claims.iss === 'string' ? claims.iss : undefined;
};

/** Three parts, each the one and only base64url of its bytes: two texts must not be the same token. */
const isCanonical = (token: string): boolean => {
  const parts = token.split('.');
  return (
    parts.length === 3 &&
    parts.every((part) => part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part)
  );
};

const codeOf = (error: unknown): string => {
  const { code, name } = error as { code?: unknown; name?: unknown };
  return typeof code === 'string' ? code : String(name);
};
