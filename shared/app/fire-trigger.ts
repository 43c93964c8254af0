import { actorOfMember } from '../access/rights.ts';
import type { SubmitCommand } from '../contract/schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { AppError } from '../domain/errors.ts';
import type { Delivered } from '../domain/placeholders.ts';
import type { DeliveryReason, Trigger } from '../domain/triggers.ts';
import { renderCommand } from '../webhooks/command-template.ts';
import { type Verified, verifyFilters } from '../webhooks/filters.ts';
import { readDelivery, UnreadableBody } from '../webhooks/read-delivery.ts';
import type { Signed } from '../webhooks/signatures.ts';
import type { Deps } from './deps.ts';

/** What a genuine delivery asks for, before anybody's rights are looked at. */
export type Plan = { readonly event?: string | undefined; readonly filters: readonly Verified[] } & (
  | { readonly kind: 'submit'; readonly command: SubmitCommand }
  | { readonly kind: 'skip' | 'refuse'; readonly reason: DeliveryReason; readonly detail: string }
);

/** The same for the same delivery, whoever asks: a trigger that is tested says what it would do. */
export const planDelivery = (
  { signature, filters, template, leadingDashes }: Trigger,
  signed: Signed,
  delivery: string | undefined,
): Plan => {
  let delivered: Delivered;
  try {
    delivered = readDelivery(signature, signed, delivery);
  } catch (error) {
    if (!(error instanceof UnreadableBody)) throw error;
    return { kind: 'refuse', reason: 'invalid-body', detail: error.message, filters: [] };
  }
  const { event } = delivered;
  // https://docs.github.com/en/webhooks/webhook-events-and-payloads#ping
  if (signature.kind === 'github' && event === 'ping') {
    return {
      kind: 'skip',
      reason: 'ping',
      detail: 'GitHub sends it once, when a webhook is made.',
      event,
      filters: [],
    };
  }
  const verified = verifyFilters(filters, delivered);
  const failed = verified.findIndex(({ holds }) => !holds);
  if (failed >= 0) {
    const { on } = verified[failed]?.condition ?? { on: '' };
    const why = verified[failed]?.found ? 'does not hold' : 'has no value to look at';
    return { kind: 'skip', reason: 'filter', detail: `/filters/${failed}: ${on} ${why}.`, event, filters: verified };
  }
  const rendered = renderCommand(template as SubmitCommand, delivered, leadingDashes);
  if (rendered.ok) return { kind: 'submit', command: rendered.command, event, filters: verified };
  return { kind: 'refuse', reason: rendered.reason, detail: rendered.detail, event, filters: verified };
};

/**
 * The member that it belongs to, with the rights of now.
 * @throws AppError 'forbidden' when it may not submit any more
 */
export const requireSubmitter = async (deps: Pick<Deps, 'principals'>, trigger: Trigger): Promise<Actor> => {
  const { tenant, member, scope, id } = trigger;
  const credential = { kind: 'trigger' as const, id };
  const actor = await actorOfMember(deps.principals, tenant, { id: member, scope, credential });
  if (actor?.permissions.has('commands:submit')) return actor;
  const why = actor ? 'may not submit commands any more' : 'is gone or disabled, or its tenant is suspended';
  throw new AppError('forbidden', `The trigger’s member ${member} ${why}. Whoever puts the trigger again owns it.`);
};
