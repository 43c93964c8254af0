import type * as z from 'zod';
import type { SubmitCommand } from '../contract/schemas.ts';
import type { TestTrigger, TriggerTest } from '../contract/trigger-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { AppError } from '../domain/errors.ts';
import { hasPlaceholder } from '../domain/placeholders.ts';
import type { Trigger, TriggerId } from '../domain/triggers.ts';
import type { Signed } from '../webhooks/signatures.ts';
import type { Deps } from './deps.ts';
import { planDelivery, requireSubmitter } from './fire-trigger.ts';
import { explainPolicy } from './policies.ts';
import { requireSecrets } from './resolve-secrets.ts';
import { specify } from './specify.ts';
import { withPlaceholders } from './trigger-view.ts';
import { requireTrigger } from './triggers.ts';

type Parts = Pick<
  Deps,
  'triggers' | 'vault' | 'clock' | 'random' | 'auditLog' | 'targets' | 'pools' | 'secrets' | 'policies' | 'principals'
>;
type Sample = z.output<typeof TestTrigger>;
type View = z.output<typeof TriggerTest>;

/**
 * What would become of a delivery whose sender is taken to be known, also where the trigger is paused. Nothing is submitted or written down.
 * @throws AppError 'not-found'
 */
export const testTrigger = async (deps: Parts, actor: Actor, id: TriggerId, sample: Sample): Promise<View> => {
  const trigger = await requireTrigger(deps, actor, id);
  const plan = planDelivery(trigger, toSigned(trigger, sample), sample.delivery);
  const filters = plan.filters.map(({ condition, holds, found }) => ({ ...condition, holds, found }));
  const about = { filters, command: null, policy: null };
  if (plan.kind !== 'submit') {
    const outcome = plan.kind === 'skip' ? 'skipped' : 'refused';
    return { outcome, reason: plan.reason, detail: plan.detail, ...about };
  }
  const command = toCommandView(trigger.template as SubmitCommand, plan.command);
  try {
    const submitter = await requireSubmitter(deps, trigger);
    specify(deps, submitter.scope, plan.command);
    await requireSecrets(deps, submitter, plan.command);
    const { policy, refusal } = await judge(deps, submitter, plan.command);
    return {
      outcome: refusal === undefined ? 'submitted' : 'refused',
      reason: refusal ?? null,
      detail: refusal === undefined ? null : policy.because,
      filters,
      command,
      policy: actor.permissions.has('policies:read') ? policy : null,
    };
  } catch (error) {
    if (!(error instanceof AppError) || error.code === 'unavailable') throw error;
    return { outcome: 'refused', reason: error.code, detail: error.message, ...about, command };
  }
};

const judge = async (deps: Parts, submitter: Actor, command: SubmitCommand) => {
  const policy = await explainPolicy(deps, submitter, { command });
  const refusals = { allow: undefined, deny: 'policy-denied', approval: 'approval-required' } as const;
  return { policy, refusal: refusals[policy.effect] };
};

const toSigned = ({ signature }: Trigger, { event, headers = {}, body, text }: Sample): Signed => {
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const named = event !== undefined && signature.kind === 'github' ? { 'x-github-event': event } : {};
  const content = body === undefined ? (text ?? '') : JSON.stringify(body);
  return { headers: { ...type, ...given, ...named }, body: Buffer.from(content, 'utf8') };
};

const toCommandView = (template: SubmitCommand, command: SubmitCommand): View['command'] => {
  const { env = {}, stdin: _, stdinBase64 = '', ...shown } = command;
  const { stdin = '' } = template;
  return {
    ...shown,
    env: withPlaceholders(template, env),
    envNames: Object.keys(env),
    stdin: hasPlaceholder(stdin) ? Buffer.from(stdinBase64, 'base64').toString('utf8') : null,
  };
};
