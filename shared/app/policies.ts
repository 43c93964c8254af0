import type * as z from 'zod';
import { hashOf } from '../audit/chain.ts';
import type {
  ApplyPolicy,
  ExplainPolicy,
  PolicyExplanation,
  PolicyVersionList,
  PolicyVersionView,
  RestorePolicy,
} from '../contract/policy-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { toTimestamp } from '../domain/clock.ts';
import { AppError } from '../domain/errors.ts';
import type { Policy, PolicyVersion } from '../domain/policy.ts';
import { decide } from '../policy/decide.ts';
import { readCommand } from '../policy/reading.ts';
import { warningsOf } from '../policy/warnings.ts';
import { auditWrite } from './audit-events.ts';
import { becauseOf, decideEverywhere, factsOf } from './decide-submission.ts';
import type { Deps } from './deps.ts';
import { invalidCursor, nextCursor, type PageQuery, toPage } from './paging.ts';
import { specify } from './specify.ts';
import { within } from './within.ts';

type Parts = Pick<Deps, 'policies' | 'clock' | 'auditLog'>;
type View = z.output<typeof PolicyVersionView>;

/** A new version, which holds for the next submission. @throws AppError 'conflict' when `onVersion` is not the present one */
export const applyPolicy = async (
  deps: Parts,
  actor: Actor,
  { policy, comment, onVersion }: z.output<typeof ApplyPolicy>,
): Promise<View> => {
  const by = { appliedAt: deps.clock.now(), appliedBy: actor.id, ...(comment === undefined ? {} : { comment }) };
  return toView(await apply(deps, actor, { policy, ...by }, onVersion), true);
};

const apply = (
  deps: Parts,
  actor: Actor,
  applied: Omit<PolicyVersion, 'version'>,
  onVersion?: number,
): Promise<PolicyVersion> =>
  deps.policies.apply(actor.tenant, applied, onVersion, ({ version, policy, restored }) => [
    auditWrite(deps, actor, 'policy.applied', String(version), {
      policyHash: hashOf(policy),
      ...(restored === undefined ? {} : { restored }),
    }),
  ]);

/** The same policy as in an earlier version, as a new one: versions are never undone. @throws AppError 'not-found', 'conflict' */
export const restorePolicy = async (
  deps: Parts,
  actor: Actor,
  version: string,
  { comment }: z.output<typeof RestorePolicy>,
): Promise<View> => {
  const { policy, version: restored } = await requireVersion(deps, actor, version);
  const by = { appliedAt: deps.clock.now(), appliedBy: actor.id, ...(comment === undefined ? {} : { comment }) };
  return toView(await apply(deps, actor, { policy, restored, ...by }), true);
};

/** @throws AppError 'not-found' */
export const getPolicy = async (deps: Parts, actor: Actor, version: string): Promise<View> => {
  const [found, present] = await Promise.all([
    requireVersion(deps, actor, version),
    deps.policies.present(actor.tenant),
  ]);
  return toView(found, found.version === present?.version);
};

/** Newest first. */
export const listPolicies = async (
  { policies }: Parts,
  { tenant }: Actor,
  query: PageQuery,
): Promise<z.output<typeof PolicyVersionList>> => {
  const { limit, after } = toPage(tenant, query);
  if (after !== undefined && !/^\d{1,8}$/.test(after)) throw invalidCursor();
  const [found, present] = await Promise.all([
    policies.list(tenant, { limit, before: after === undefined ? undefined : Number(after) }),
    policies.present(tenant),
  ]);
  const versions = found.map(({ version }) => String(version));
  return {
    items: found.map((one) => ({ ...aboutOf(one, one.version === present?.version), rules: one.policy.rules.length })),
    ...nextCursor(tenant, versions, limit),
  };
};

/**
 * What the policy makes of a command. Nothing is submitted, and no approval asked for.
 * @throws AppError as a submission of it would, as far as its target and limits are concerned
 */
export const explainPolicy = async (
  { policies, clock, ...places }: Pick<Deps, 'policies' | 'clock' | 'targets' | 'pools'>,
  actor: Actor,
  { command, policy: given, role, member, at }: z.output<typeof ExplainPolicy>,
): Promise<z.output<typeof PolicyExplanation>> => {
  const present = given ? undefined : await policies.present(actor.tenant);
  const policy = given ?? present?.policy ?? NO_POLICY;
  const { spec, landings } = await within('/command', () => specify(places, actor.scope, command));
  const now = at === undefined ? clock.now() : Date.parse(at);
  const who = { role: role ?? actor.role, id: member ?? actor.id };
  const reading = readCommand(spec);
  const decision = decideEverywhere(landings, (landing) => decide(policy, factsOf(who, spec, landing, now), reading));
  return {
    effect: decision.effect,
    rule: decision.rule?.name ?? null,
    because:
      present || given ? becauseOf(decision) : 'This tenant has no policy: what a role and a scope allow is allowed.',
    version: present?.version ?? null,
    unreadable: [...decision.unreadable],
    programs: decision.programs.map(({ invocation, effect, rules }) => ({
      program: invocation.program,
      arguments: invocation.args.map((argument) => argument ?? null),
      builtin: invocation.builtin ?? false,
      effect,
      rules: rules.map(({ name }) => name),
    })),
  };
};

const NO_POLICY: Policy = { default: 'allow', rules: [] };

const requireVersion = async (
  { policies }: Pick<Parts, 'policies'>,
  { tenant }: Actor,
  version: string,
): Promise<PolicyVersion> => {
  const found = version === 'current' ? await policies.present(tenant) : await policies.get(tenant, Number(version));
  if (found) return found;
  const detail = version === 'current' ? 'There is no policy.' : `There is no version ${version} of the policy.`;
  throw new AppError('not-found', detail, { faults: [{ in: 'path', pointer: '/version', detail }] });
};

const toView = (version: PolicyVersion, present: boolean): View => ({
  ...aboutOf(version, present),
  policy: version.policy as View['policy'],
  warnings: warningsOf(version.policy),
});

const aboutOf = ({ version, comment, restored, appliedAt, appliedBy }: PolicyVersion, present: boolean) => ({
  version,
  present,
  comment: comment ?? null,
  restored: restored ?? null,
  appliedAt: toTimestamp(appliedAt),
  appliedBy,
});
