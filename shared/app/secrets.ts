import type * as z from 'zod';
import type { PutSecret, SecretList, SecretView, StoredSecretView } from '../contract/secret-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { toTimestamp } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import { LEAST_MASKED_BYTES } from '../secrets/encodings.ts';
import type { Secret } from '../secrets/secrets.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { nextCursor, type PageQuery, toPage } from './paging.ts';

type Parts = Pick<Deps, 'secrets' | 'auditLog' | 'clock'>;

const SHORT = `It is shorter than ${LEAST_MASKED_BYTES} bytes: it is not masked in what commands write.`;

/**
 * Stores a value, a new version in the place of an old one: commands that start from now on are given it.
 * @throws AppError 'invalid-request' for no bytes or too many, 'conflict' for too many secrets, 'unavailable'
 */
export const putSecret = async (
  deps: Parts,
  actor: Actor,
  name: string,
  body: z.output<typeof PutSecret>,
): Promise<z.output<typeof StoredSecretView>> => {
  const [field, bytes] =
    body.valueBase64 === undefined
      ? (['value', Buffer.from(body.value ?? '', 'utf8')] as const)
      : (['valueBase64', Buffer.from(body.valueBase64, 'base64')] as const);
  if (bytes.length === 0 || bytes.length > LIMITS.secretBytes) {
    const detail = `must be 1 to ${LIMITS.secretBytes} bytes`;
    throw new AppError('invalid-request', `/${field}: ${detail}`, {
      faults: [{ in: 'body', pointer: `/${field}`, detail }],
    });
  }
  const alongside = [auditWrite(deps, actor, 'secret.put', name)];
  const stored = await deps.secrets.put(actor.tenant, name, { bytes, by: actor.id, alongside });
  return { ...toView(stored), warnings: bytes.length < LEAST_MASKED_BYTES ? [SHORT] : [] };
};

/** The caller's tenant's, by name, without their values. */
export const listSecrets = async (
  { secrets }: Pick<Parts, 'secrets'>,
  actor: Actor,
  query: PageQuery,
): Promise<z.output<typeof SecretList>> => {
  const { limit, after } = toPage(actor.tenant, query);
  const found = await secrets.list(actor.tenant, { limit, after });
  return {
    items: found.map(toView),
    ...nextCursor(
      actor.tenant,
      found.map(({ name }) => name),
      limit,
    ),
  };
};

/** Commands that need it and have not started will fail. None there is fine. @throws AppError 'unavailable' */
export const removeSecret = (deps: Parts, actor: Actor, name: string): Promise<void> =>
  deps.secrets.remove(actor.tenant, name, [auditWrite(deps, actor, 'secret.removed', name)]);

const toView = ({ name, version, bytes, createdAt, updatedAt, updatedBy }: Secret): z.output<typeof SecretView> => ({
  name,
  version,
  bytes,
  createdAt: toTimestamp(createdAt),
  updatedAt: toTimestamp(updatedAt),
  updatedBy,
});
