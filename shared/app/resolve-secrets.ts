import type { SubmitCommand } from '../contract/schemas.ts';
import type { Actor } from '../domain/actor.ts';
import type { Command } from '../domain/command.ts';
import { AppError, type Fault } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import { secretNameOf } from '../domain/secrets.ts';
import type { SecretValues } from '../secrets/secret-run.ts';
import { SealBroken } from '../secrets/vault.ts';
import type { Deps } from './deps.ts';

type Body = Pick<SubmitCommand, 'secrets' | 'env'>;

/**
 * Checks the secrets that a submission names; their values stay where they are. Whoever runs a command of its own making
 * with a secret can read it, so that takes the permission to.
 * @throws AppError 'forbidden' without secrets:read; 'invalid-request' for one that is not there, a variable that `env` has
 * too, and more bytes than a command is given
 */
export const requireSecrets = async (deps: Pick<Deps, 'secrets'>, actor: Actor, body: Body): Promise<void> => {
  const { secrets = {}, env = {} } = body;
  const wanted = Object.entries(secrets);
  if (wanted.length === 0) return;
  // Before anything is told of them: who may not use them learns of none.
  if (!actor.permissions.has('secrets:read')) {
    throw new AppError('forbidden', 'To give secrets to a command takes the permission secrets:read.');
  }
  const names = [...new Set(wanted.map(([, reference]) => secretNameOf(reference)))];
  const found = new Map(
    await Promise.all(names.map(async (name) => [name, await deps.secrets.find(actor.tenant, name)] as const)),
  );
  const faults = wanted.flatMap(([variable, reference]): Fault[] => {
    const fault = (detail: string): Fault[] => [{ in: 'body', pointer: `/secrets/${variable}`, detail }];
    if (Object.hasOwn(env, variable)) return fault('is in env too');
    return found.get(secretNameOf(reference)) ? [] : fault(`there is no secret ${secretNameOf(reference)}`);
  });
  const bytes = wanted.reduce((sum, [, reference]) => sum + (found.get(secretNameOf(reference))?.bytes ?? 0), 0);
  if (bytes > LIMITS.secretBytes) {
    faults.push({ in: 'body', pointer: '/secrets', detail: `must be at most ${LIMITS.secretBytes} bytes together` });
  }
  if (faults.length === 0) return;
  throw new AppError('invalid-request', faults.map(({ pointer, detail }) => `${pointer}: ${detail}`).join('; '), {
    faults,
  });
};

/** What became of the secrets of a command: their values, or why it cannot be executed, for a person. */
export type Resolved =
  | { readonly kind: 'resolved'; readonly values: SecretValues | undefined }
  | { readonly kind: 'refused'; readonly detail: string };

/**
 * The present values, right before the command is executed. One that is gone, or does not open, is a reason not to execute
 * it: never without.
 * @throws AppError 'unavailable' when they cannot be had right now
 */
export const resolveSecrets = async (
  deps: Pick<Deps, 'secrets' | 'log'>,
  { id, tenant, spec }: Pick<Command, 'id' | 'tenant' | 'spec'>,
): Promise<Resolved> => {
  const values: Record<string, Uint8Array> = {};
  let bytes = 0;
  for (const [variable, reference] of Object.entries(spec.secrets ?? {})) {
    const name = secretNameOf(reference);
    const refused = (why: string): Resolved => ({
      kind: 'refused',
      detail: `The secret ${name}, for ${variable}, ${why}. Nothing was executed.`,
    });
    try {
      const value = await deps.secrets.get(tenant, name);
      if (!value) return refused('is not there any more');
      bytes += value.length;
      if (bytes > LIMITS.secretBytes) return refused(`makes more than ${LIMITS.secretBytes} bytes with the others`);
      values[variable] = value;
    } catch (error) {
      if (!(error instanceof SealBroken)) throw error;
      deps.log.error('A secret does not open', { command: id, secret: name });
      return refused('cannot be opened: what the vault holds is not what was stored');
    }
  }
  return { kind: 'resolved', values: bytes > 0 ? values : undefined };
};
