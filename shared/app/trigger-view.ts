import type * as z from 'zod';
import type { SubmitCommand } from '../contract/schemas.ts';
import type { DeliveryView, TriggerView } from '../contract/trigger-schemas.ts';
import { type Instant, toTimestamp } from '../domain/clock.ts';
import { hasPlaceholder } from '../domain/placeholders.ts';
import type { Delivery, Signature, Trigger, TriggerSecret } from '../domain/triggers.ts';

/** Secrets that are good at an instant, the newest first. */
export const goodSecrets = ({ secrets }: Pick<Trigger, 'secrets'>, now: Instant): readonly TriggerSecret[] =>
  secrets.filter(({ endsAt = Number.POSITIVE_INFINITY }) => now < endsAt);

export const toTriggerView = (trigger: Trigger, now: Instant): z.output<typeof TriggerView> => ({
  id: trigger.id,
  name: trigger.name,
  version: trigger.version,
  state: trigger.paused ? 'paused' : 'active',
  path: `/hooks/${trigger.id}`,
  signature: toSignatureView(trigger.signature),
  secrets: goodSecrets(trigger, now).map(({ addedAt, endsAt }) => ({
    addedAt: toTimestamp(addedAt),
    endsAt: endsAt === undefined ? null : toTimestamp(endsAt),
  })),
  filters: trigger.filters.map((one) => ({ ...one })),
  leadingDashes: trigger.leadingDashes,
  command: toCommandView(trigger.template as SubmitCommand, trigger.spec.target),
  member: trigger.member,
  createdAt: toTimestamp(trigger.createdAt),
  createdBy: trigger.createdBy,
  updatedAt: toTimestamp(trigger.updatedAt),
});

const toSignatureView = (signature: Signature): z.output<typeof TriggerView>['signature'] => {
  const { kind } = signature;
  if (kind === 'github') return { kind, identifiedBy: signature.identifiedBy };
  if (kind === 'standard-webhooks') return { kind };
  const { header, deliveryHeader } = signature;
  return { kind, header, ...(deliveryHeader === undefined ? {} : { deliveryHeader }) };
};

/** What was given for good may be anybody's business, as with commands; what is filled in is what one has to see. */
const toCommandView = (template: SubmitCommand, target: string): z.output<typeof TriggerView>['command'] => {
  const { env = {}, stdin, stdinBase64, labels = {}, ...shown } = template;
  return {
    ...shown,
    target,
    env: withPlaceholders(template, env),
    envNames: Object.keys(env),
    stdin: stdin !== undefined && hasPlaceholder(stdin) ? stdin : null,
    hasStdin: stdin !== undefined || stdinBase64 !== undefined,
    labels,
  };
};

/** Of an environment, the variables whose template has placeholders. */
export const withPlaceholders = (
  template: Pick<SubmitCommand, 'env'>,
  env: Readonly<Record<string, string>>,
): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter(([name]) => hasPlaceholder(template.env?.[name] ?? '')));

export const toDeliveryView = (delivery: Delivery): z.output<typeof DeliveryView> => ({
  at: toTimestamp(delivery.at),
  delivery: delivery.delivery ?? null,
  event: delivery.event ?? null,
  bytes: delivery.bytes,
  outcome: delivery.outcome,
  command: delivery.command ?? null,
  reason: delivery.reason ?? null,
  detail: delivery.detail ?? null,
});
