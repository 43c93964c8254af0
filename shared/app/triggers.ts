import type * as z from 'zod';
import { requirePermission } from '../access/access.ts';
import { hashOf } from '../audit/chain.ts';
import type { SubmitCommand } from '../contract/schemas.ts';
import type {
  CreateTrigger,
  DeliveryList,
  PutTrigger,
  RotateTriggerSecret,
  TriggerList,
  TriggerView,
  TriggerWithSecret,
} from '../contract/trigger-schemas.ts';
import { type Actor, isInScope } from '../domain/actor.ts';
import type { Instant } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import type { Condition, Signature, Trigger, TriggerId, TriggerSecret } from '../domain/triggers.ts';
import { faultsOfTemplate } from '../webhooks/command-template.ts';
import { faultOfSecret, makeSecret } from '../webhooks/signatures.ts';
import { auditWrite } from './audit-events.ts';
import type { Deps } from './deps.ts';
import { nextCursor, type PageQuery, toPage } from './paging.ts';
import { requireSecrets } from './resolve-secrets.ts';
import { specify } from './specify.ts';
import { goodSecrets, toDeliveryView, toTriggerView } from './trigger-view.ts';
import { within } from './within.ts';

type Parts = Pick<Deps, 'triggers' | 'vault' | 'clock' | 'random' | 'auditLog' | 'targets' | 'pools' | 'secrets'>;
type View = z.output<typeof TriggerView>;
type WithSecret = z.output<typeof TriggerWithSecret>;

const ID_BYTES = 8;
const DEFAULT_TOKEN_HEADER = 'x-errand-token';
const DEFAULT_OVERLAP_SECONDS = 86_400;

/** What a trigger's secrets are called in the vault. No secret of a tenant's own has a slash. */
export const vaultNameOf = (id: TriggerId): string => `hooks/${id}`;

/**
 * A trigger of the caller's, and its secret if it was made here. Its policy is asked about each delivery: only then is it known what is run.
 * @throws AppError 'invalid-request' for placeholders where none may be, a secret that is too short, and as a submission of its command
 * would, below /command; 'forbidden'; 'conflict' for too many triggers; 'unavailable'
 */
export const createTrigger = async (
  deps: Parts,
  actor: Actor,
  { secret, ...body }: z.output<typeof CreateTrigger>,
): Promise<WithSecret> => {
  const now = deps.clock.now();
  const terms = await toTerms(deps, actor, body, now);
  const text = secretText(deps, terms.signature, secret);
  if ((await deps.triggers.list(actor.tenant, { limit: LIMITS.triggers })).length >= LIMITS.triggers) {
    throw new AppError('conflict', `There are ${LIMITS.triggers} triggers, the most of a tenant. Remove some.`);
  }
  const id = `trg_${deps.random.hex(ID_BYTES)}` as TriggerId;
  const trigger: Trigger = {
    ...terms,
    id,
    tenant: actor.tenant,
    version: 1,
    secrets: [await keepSecret(deps, actor, id, text)],
    paused: false,
    createdAt: now,
    createdBy: actor.id,
  };
  await deps.triggers.add(trigger, [auditWrite(deps, actor, 'trigger.put', id, detailsOf(trigger))]);
  return { ...toTriggerView(trigger, now), secret: secret === undefined ? text : null };
};

/**
 * Another in its place, the caller's own from now on: whoever says what is run answers for it with its own rights. Address and secret stay.
 * @throws AppError as `createTrigger`; 'not-found'; 'conflict' when `onVersion` is not the present one
 */
export const putTrigger = async (
  deps: Parts,
  actor: Actor,
  id: TriggerId,
  { onVersion, ...body }: z.output<typeof PutTrigger>,
): Promise<View> => {
  const present = await requireTrigger(deps, actor, id);
  const now = deps.clock.now();
  if (body.signature.kind !== present.signature.kind) {
    const detail = `must stay ${present.signature.kind}: the secret is one for that. Make another trigger.`;
    throw new AppError('invalid-request', `/signature/kind: ${detail}`, {
      faults: [{ in: 'body', pointer: '/signature/kind', detail }],
    });
  }
  const terms = await toTerms(deps, actor, body, now);
  const put = (trigger: Trigger): Trigger => {
    if (onVersion !== undefined && onVersion !== trigger.version) {
      const detail = `The trigger is of version ${trigger.version} by now, not ${onVersion}. Read it again.`;
      throw new AppError('conflict', detail, { faults: [{ in: 'body', pointer: '/onVersion', detail }] });
    }
    return { ...trigger, ...terms, version: trigger.version + 1 };
  };
  const event = auditWrite(deps, actor, 'trigger.put', id, detailsOf(terms));
  return toTriggerView(await change(deps, actor, id, put, event), now);
};

/** @throws AppError 'not-found' */
export const getTrigger = async (deps: Parts, actor: Actor, id: TriggerId): Promise<View> =>
  toTriggerView(await requireTrigger(deps, actor, id), deps.clock.now());

/** Those within the caller's scope, by id. */
export const listTriggers = async (
  { triggers, clock }: Pick<Parts, 'triggers' | 'clock'>,
  { tenant, scope }: Actor,
  query: PageQuery,
): Promise<z.output<typeof TriggerList>> => {
  const { limit, after } = toPage(tenant, query);
  const found = await triggers.list(tenant, { limit, after });
  const ids = found.map(({ id }) => id);
  return {
    items: found.filter((one) => isInScope(scope, one)).map((one) => toTriggerView(one, clock.now())),
    ...nextCursor(tenant, ids, limit),
  };
};

/** What it submitted goes on. @throws AppError 'not-found', 'unavailable' */
export const removeTrigger = async (deps: Parts, actor: Actor, id: TriggerId): Promise<void> => {
  await requireTrigger(deps, actor, id);
  // First, so that nobody finds it without its secrets.
  await deps.triggers.remove(actor.tenant, id, [auditWrite(deps, actor, 'trigger.removed', id)]);
  await deps.vault.remove({ tenant: actor.tenant, name: vaultNameOf(id) });
};

/** @throws AppError 'not-found' */
export const pauseTrigger = (deps: Parts, actor: Actor, id: TriggerId): Promise<View> =>
  setPaused(deps, actor, id, true);

/** @throws AppError 'not-found' */
export const resumeTrigger = (deps: Parts, actor: Actor, id: TriggerId): Promise<View> =>
  setPaused(deps, actor, id, false);

const setPaused = async (deps: Parts, actor: Actor, id: TriggerId, paused: boolean): Promise<View> => {
  const present = await requireTrigger(deps, actor, id);
  const now = deps.clock.now();
  if (present.paused === paused) return toTriggerView(present, now);
  const set = (one: Trigger) =>
    one.paused === paused ? undefined : { ...one, paused, version: one.version + 1, updatedAt: now };
  const event = auditWrite(deps, actor, paused ? 'trigger.paused' : 'trigger.resumed', id);
  return toTriggerView(await change(deps, actor, id, set, event), now);
};

/**
 * A new secret, and the one before for some time more. One that was before that is good no longer.
 * @throws AppError 'not-found'; 'invalid-request' for a secret that is too short; 'unavailable'
 */
export const rotateTriggerSecret = async (
  deps: Parts,
  actor: Actor,
  id: TriggerId,
  { secret, overlapSeconds = DEFAULT_OVERLAP_SECONDS }: z.output<typeof RotateTriggerSecret>,
): Promise<WithSecret> => {
  const present = await requireTrigger(deps, actor, id);
  const now = deps.clock.now();
  const text = secretText(deps, present.signature, secret);
  const fresh = await keepSecret(deps, actor, id, text);
  let replaced: readonly TriggerSecret[] = [];
  const rotate = (trigger: Trigger): Trigger => {
    const [newest, ...older] = goodSecrets(trigger, now);
    const endsAt = now + overlapSeconds * 1_000;
    const before =
      newest && overlapSeconds > 0 ? [{ ...newest, endsAt: Math.min(endsAt, newest.endsAt ?? endsAt) }] : [];
    replaced = [...(before.length === 0 && newest ? [newest] : []), ...older];
    return { ...trigger, secrets: [fresh, ...before], version: trigger.version + 1, updatedAt: now };
  };
  const event = auditWrite(deps, actor, 'trigger.secret-rotated', id, { overlapSeconds });
  const rotated = await change(deps, actor, id, rotate, event);
  for (const { value } of replaced) await deps.vault.drop({ tenant: actor.tenant, name: vaultNameOf(id), value });
  return { ...toTriggerView(rotated, now), secret: secret === undefined ? text : null };
};

/** What became of its deliveries, the newest first. @throws AppError 'not-found' */
export const listTriggerDeliveries = async (
  deps: Parts,
  actor: Actor,
  id: TriggerId,
  query: PageQuery,
): Promise<z.output<typeof DeliveryList>> => {
  await requireTrigger(deps, actor, id);
  const { limit, after } = toPage(actor.tenant, query);
  const found = await deps.triggers.deliveries(actor.tenant, id, { limit, before: after });
  const places = found.map(({ place }) => place);
  return { items: found.map(toDeliveryView), ...nextCursor(actor.tenant, places, limit) };
};

/** @throws AppError 'not-found', the same for what is beyond the caller's scope or another tenant's as for what never was */
export const requireTrigger = async (
  { triggers }: Pick<Parts, 'triggers'>,
  { tenant, scope }: Actor,
  id: TriggerId,
): Promise<Trigger> => {
  const trigger = await triggers.find(tenant, id);
  if (trigger && isInScope(scope, trigger)) return trigger;
  throw noTrigger(id);
};

const change = async (
  { triggers }: Pick<Parts, 'triggers'>,
  { tenant }: Actor,
  id: TriggerId,
  to: (trigger: Trigger) => Trigger | undefined,
  event: ReturnType<typeof auditWrite>,
): Promise<Trigger> => {
  const changed = await triggers.change(tenant, id, to, [event]);
  if (!changed) throw noTrigger(id);
  return changed;
};

const noTrigger = (id: TriggerId): AppError => {
  const detail = `There is no trigger ${id}.`;
  return new AppError('not-found', detail, { faults: [{ in: 'path', pointer: '/id', detail }] });
};

/** The caller's, or a new one. @throws AppError 'invalid-request' */
const secretText = ({ random }: Pick<Parts, 'random'>, signature: Signature, given: string | undefined): string => {
  if (given === undefined) return makeSecret(signature, (bytes) => random.hex(bytes));
  const detail = faultOfSecret(signature, given);
  if (detail === undefined) return given;
  throw new AppError('invalid-request', `/secret: ${detail}`, { faults: [{ in: 'body', pointer: '/secret', detail }] });
};

/** In the vault before the trigger tells of it, so that nobody finds one without a value. */
const keepSecret = async (
  { vault, random, clock }: Pick<Parts, 'vault' | 'random' | 'clock'>,
  { tenant }: Actor,
  id: TriggerId,
  text: string,
): Promise<TriggerSecret> => {
  const value = random.hex(16);
  await vault.put({ tenant, name: vaultNameOf(id), value }, Buffer.from(text, 'utf8'));
  return { value, addedAt: clock.now() };
};

type Terms = Pick<
  Trigger,
  'name' | 'signature' | 'filters' | 'leadingDashes' | 'template' | 'spec' | 'member' | 'scope' | 'updatedAt'
>;

const toTerms = async (
  deps: Parts,
  actor: Actor,
  body: Omit<z.output<typeof CreateTrigger>, 'secret'>,
  now: Instant,
): Promise<Terms> => {
  requirePermission(actor, 'commands:submit');
  const { template, spec } = await within('/command', () => requireTemplate(deps, actor, body.command));
  return {
    name: body.name ?? '',
    signature: toSignature(body.signature),
    // What is undefined is not there when it is read again.
    filters: JSON.parse(JSON.stringify(body.filters ?? [])) as readonly Condition[],
    leadingDashes: body.leadingDashes ?? 'refuse',
    template,
    spec,
    member: actor.id,
    scope: actor.scope,
    updatedAt: now,
  };
};

const toSignature = (given: z.output<typeof CreateTrigger>['signature']): Signature => {
  switch (given.kind) {
    case 'github':
      return { kind: given.kind, identifiedBy: given.identifiedBy ?? 'body' };
    case 'standard-webhooks':
      return { kind: given.kind };
    case 'shared-token': {
      const { kind, header = DEFAULT_TOKEN_HEADER, deliveryHeader } = given;
      return { kind, header, ...(deliveryHeader === undefined ? {} : { deliveryHeader }) };
    }
  }
};

/** With the labels of the caller's scope and the target of today: what is checked here is what is filled in later. */
const requireTemplate = async (
  deps: Parts,
  actor: Actor,
  submitted: SubmitCommand,
): Promise<{ readonly template: SubmitCommand; readonly spec: Trigger['spec'] }> => {
  const faults = [...faultsOfTemplate(submitted)];
  if (Buffer.byteLength(JSON.stringify(submitted)) > LIMITS.triggerTemplateBytes) {
    const detail = `must be at most ${LIMITS.triggerTemplateBytes} bytes of JSON`;
    faults.push({ in: 'body', pointer: '', detail });
  }
  if (faults.length > 0) {
    const detail = faults.map((fault) => `/command${fault.pointer}: ${fault.detail}`).join('; ');
    throw new AppError('invalid-request', detail, { faults });
  }
  const { body, spec } = specify(deps, actor.scope, submitted);
  await requireSecrets(deps, actor, body);
  return { template: { ...body, target: spec.target }, spec: { target: spec.target, labels: spec.labels } };
};

const detailsOf = ({ template, signature, filters, spec: { target } }: Terms) => ({
  commandHash: hashOf(template),
  target,
  signature: signature.kind,
  filtersHash: hashOf(filters),
});
