import { createHash } from 'node:crypto';
import type * as z from 'zod';
import type { DeliveryAnswer } from '../contract/trigger-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { AppError, NoSuchHook } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import { DELIVERY_REASONS, type Delivery, isTriggerId, type Trigger } from '../domain/triggers.ts';
import { SealBroken } from '../secrets/vault.ts';
import type { Idempotency } from '../store/commands.ts';
import { type Genuine, type Signed, verifySignature } from '../webhooks/signatures.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { planDelivery, requireSubmitter } from './fire-trigger.ts';
import { submitCommand } from './submit-command.ts';
import { goodSecrets } from './trigger-view.ts';
import { vaultNameOf } from './triggers.ts';

type Answer = z.output<typeof DeliveryAnswer>;
type Outcome = Pick<Delivery, 'outcome' | 'command' | 'reason' | 'detail' | 'event'>;

/**
 * Looks at a delivery, and submits the trigger's command with its values as the member whose trigger it is: at most one command for each
 * delivery, however often it comes. It is stored durably before this resolves.
 * @throws NoSuchHook; AppError 'rate-limited', 'quota-exceeded' or 'unavailable' for what may be sent again later
 */
export const receiveDelivery = async (deps: Deps, id: string, signed: Signed): Promise<Answer> => {
  try {
    const outcome = await receive(deps, id, signed);
    deps.metrics.triggered(outcome);
    return toAnswer(outcome);
  } catch (error) {
    const reason = error instanceof NoSuchHook ? error.why : error instanceof AppError ? error.code : 'internal';
    deps.metrics.triggered({ outcome: 'refused', reason });
    throw error;
  }
};

const receive = async (deps: Deps, id: string, signed: Signed): Promise<Outcome> => {
  const trigger = isTriggerId(id) ? await deps.triggers.locate(id) : undefined;
  const genuine = trigger && (await verify(deps, trigger, signed));
  if (!trigger || !genuine) {
    // Nothing that anybody wrote who is not known.
    if (trigger && deps.rates.isForgeryNews(trigger.id)) {
      await note(deps, trigger, signed, {
        outcome: 'refused',
        reason: 'signature',
        detail: DELIVERY_REASONS.signature,
      });
    }
    throw new NoSuchHook(trigger ? 'signature' : 'unknown');
  }
  deps.rates.admitDelivery(trigger.id);
  if (trigger.paused) {
    await note(
      deps,
      trigger,
      signed,
      { outcome: 'refused', reason: 'paused', detail: DELIVERY_REASONS.paused },
      genuine,
    );
    throw new NoSuchHook('paused');
  }
  const idempotency = genuine.identity === undefined ? undefined : idempotencyOf(deps, trigger, genuine.identity);
  const earlier = idempotency && (await deps.commands.findRepeated(trigger.tenant, idempotency, deps.clock.now()));
  if (earlier) {
    // Whatever has changed since: what was submitted once is answered as it was.
    const repeated: Outcome = { outcome: 'repeated', command: earlier.id };
    await note(deps, trigger, signed, repeated, genuine);
    return repeated;
  }
  const outcome = await act(deps, trigger, signed, { genuine, idempotency });
  await note(deps, trigger, signed, outcome, genuine);
  return outcome;
};

const verify = async (deps: Deps, trigger: Trigger, signed: Signed): Promise<Genuine | undefined> => {
  const { id, tenant, signature } = trigger;
  const now = deps.clock.now();
  const values = await Promise.all(
    goodSecrets(trigger, now).map(async ({ value }) => {
      try {
        return await deps.vault.get({ tenant, name: vaultNameOf(id), value });
      } catch (error) {
        if (!(error instanceof SealBroken)) throw error;
        deps.log.error('A secret of a trigger cannot be opened', { trigger: id, error });
        return undefined;
      }
    }),
  );
  const secrets = values.filter((one) => one !== undefined);
  return verifySignature(signature, secrets, signed, Math.floor(now / 1_000));
};

/** What makes all tries of one delivery the same submission. No caller's key can be the same: those are kept as digests alone. */
const idempotencyOf = ({ clock }: Pick<Deps, 'clock'>, { id }: Trigger, identity: string): Idempotency => {
  const key = `${id}-${createHash('sha256').update(identity).digest('hex')}`;
  return { keyHash: key, bodyHash: key, expiresAt: clock.now() + LIMITS.deliveryIdentityDays * 86_400_000 };
};

const act = async (
  deps: Deps,
  trigger: Trigger,
  signed: Signed,
  { genuine, idempotency }: { readonly genuine: Genuine; readonly idempotency: Idempotency | undefined },
): Promise<Outcome> => {
  const plan = planDelivery(trigger, signed, genuine.delivery);
  const { event } = plan;
  if (plan.kind === 'skip') return { outcome: 'skipped', reason: plan.reason, detail: plan.detail, event };
  let actor: Actor | undefined;
  let refusal: Outcome;
  if (plan.kind === 'submit') {
    try {
      actor = await requireSubmitter(deps, trigger);
      const delivery = cleaned(genuine.delivery);
      const { command, repeated } = await submitCommand(deps, actor, {
        body: plan.command,
        triggeredBy: { trigger: trigger.id, ...(delivery === undefined ? {} : { delivery }) },
        ...(idempotency ? { idempotency } : {}),
      });
      return { outcome: repeated ? 'repeated' : 'submitted', command: command.id, event };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (RETRYABLE.has(error.code)) throw await later(deps, trigger, signed, genuine, error);
      refusal = { outcome: 'refused', reason: error.code, detail: error.message, event };
    }
  } else refusal = { outcome: 'refused', reason: plan.reason, detail: plan.detail, event };
  const { reason } = refusal;
  await deps.store.write([auditWrite(deps, actor ?? absent(trigger), 'trigger.refused', trigger.id, { reason })]);
  return refusal;
};

const RETRYABLE: ReadonlySet<string> = new Set(['rate-limited', 'quota-exceeded', 'unavailable']);

/** Its sender is no caller of the tenant's: it is told when to come again, and not what the tenant has used. */
const later = async (
  deps: Deps,
  trigger: Trigger,
  signed: Signed,
  genuine: Genuine,
  error: AppError,
): Promise<AppError> => {
  const { code, message, headers } = error;
  if (code !== 'unavailable') {
    await note(deps, trigger, signed, { outcome: 'refused', reason: code, detail: message }, genuine);
  }
  const wait = headers['retry-after'];
  return new AppError(code, 'No command can be submitted right now. Send this delivery again later.', {
    cause: error,
    headers: wait === undefined ? {} : { 'retry-after': wait },
  });
};

/** For the audit log, when nobody's rights could be asked for. */
const absent = ({ member, tenant, id, scope }: Trigger): Actor => ({
  ...{ id: member, tenant, scope },
  role: 'none',
  permissions: new Set(),
  credential: { kind: 'trigger', id },
});

/** For people to look at: what cannot be written does not undo what was done. */
const note = async (
  deps: Deps,
  { tenant, id }: Trigger,
  { body, headers }: Signed,
  outcome: Outcome,
  genuine?: Genuine,
): Promise<void> => {
  const { detail, command, reason } = outcome;
  const event = cleaned(genuine && (outcome.event ?? headers['x-github-event']));
  const delivery = cleaned(genuine?.delivery);
  const noted: Delivery = {
    at: deps.clock.now(),
    ...(delivery === undefined ? {} : { delivery }),
    ...(event === undefined ? {} : { event }),
    bytes: body.length,
    outcome: outcome.outcome,
    ...(command === undefined ? {} : { command }),
    ...(reason === undefined ? {} : { reason }),
    ...(detail === undefined ? {} : { detail: detail.slice(0, LIMITS.detailCharacters) }),
  };
  await deps.triggers
    .note(tenant, id, noted, deps.random.hex(8))
    .catch((error: unknown) => deps.log.warn('A delivery could not be written down', { trigger: id, error }));
};

const MOST_CHARACTERS = 100;

/** What senders write is shown in terminals and logs. */
const cleaned = (text: string | undefined): string | undefined => {
  const printable = text?.replace(/[^\x20-\x7e]/g, '?').slice(0, MOST_CHARACTERS);
  return printable === '' ? undefined : printable;
};

const toAnswer = ({ outcome, command, reason }: Outcome): Answer => ({
  outcome: outcome === 'repeated' ? 'submitted' : outcome,
  ...(command === undefined ? {} : { command }),
  ...(reason === undefined ? {} : { reason }),
});
