import type { Actor } from '../domain/actor.ts';
import type { Instant } from '../domain/clock.ts';
import type { Admission, CommandSpec } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { CommandId } from '../domain/ids.ts';
import { secretNameOf } from '../domain/secrets.ts';
import type { Decision, Facts } from '../policy/decide.ts';

import type { Toll } from '../store/commands.ts';
import { useOfApproval } from './approvals.ts';
import type { Deps } from './deps.ts';
import type { Landing, Specified } from './specify.ts';

type Parts = Pick<Deps, 'policies' | 'approvals' | 'clock' | 'auditLog'>;

/** What lets a command in. */
export interface Admitted {
  /** For its record; undefined where the tenant has no policy. */
  readonly admission?: Admission;
  /** Uses its approval up, in the same transaction. */
  readonly toll?: Toll;
}

/**
 * The one door: whatever is submitted, by whatever way, is decided about here.
 * @throws AppError 'policy-denied'; 'approval-required', when an approval was asked for
 */
export const decideSubmission = async (
  deps: Parts,
  actor: Actor,
  { spec, landings, id }: Pick<Specified, 'spec' | 'landings'> & { readonly id: CommandId },
): Promise<Admitted> => {
  const decided = await decideBy(deps, actor, { spec, landings });
  if (!decided) return {};
  const { decision, admission } = decided;
  if (decision.effect === 'allow') return { admission };
  if (decision.effect === 'deny') throw denied(decided, { spec, landings });
  const approval = await useOfApproval(deps, actor, { spec, id, because: becauseOf(decision), admission });
  return { admission: { ...admission, approval: approval.id }, toll: approval.toll };
};

/**
 * For what is submitted later, when nobody is there to approve of it.
 * @throws AppError 'policy-denied', also for what needs an approval
 */
export const requireAllowed = async (
  deps: Pick<Parts, 'policies' | 'clock'>,
  actor: Actor,
  asked: Pick<Specified, 'spec' | 'landings'>,
): Promise<void> => {
  const decided = await decideBy(deps, actor, asked);
  if (!decided || decided.decision.effect === 'allow') return;
  const next = decided.decision.effect === 'approval' ? ' Nobody is there to ask for one when its time comes.' : '';
  throw denied(decided, asked, next);
};

interface Decided {
  readonly decision: ReturnType<typeof decideEverywhere>;
  readonly admission: Admission;
}

/** Undefined where the tenant has no policy. */
const decideBy = async (
  { policies, clock }: Pick<Parts, 'policies' | 'clock'>,
  actor: Actor,
  { spec, landings }: Pick<Specified, 'spec' | 'landings'>,
): Promise<Decided | undefined> => {
  const present = await policies.present(actor.tenant);
  if (!present) return undefined;
  const { version, policy } = present;
  // Only where there is a policy: the reader of scripts is large.
  const [{ decide }, { readCommand }] = await Promise.all([
    import('../policy/decide.ts'),
    import('../policy/reading.ts'),
  ]);
  const now = clock.now();
  const reading = readCommand(spec);
  const decision = decideEverywhere(landings, (landing) => decide(policy, factsOf(actor, spec, landing, now), reading));
  const rule = decision.rule?.name;
  return { decision, admission: { version, ...(rule === undefined ? {} : { rule }) } };
};

const denied = (
  { decision, admission: { version } }: Decided,
  { spec, landings }: Pick<Specified, 'spec' | 'landings'>,
  next = '',
): AppError => {
  const where = landings.length > 1 ? `, on the target ${decision.target}` : '';
  const detail = `${becauseOf(decision)}${next} (Policy, version ${version}${where}.)`;
  return new AppError('policy-denied', detail, {
    faults: [{ in: 'body', pointer: pointerOf(decision, spec), detail }],
  });
};

const STRICTNESS = { allow: 0, approval: 1, deny: 2 } as const satisfies Record<Decision['effect'], number>;

/** The strictest of what is decided about each target that a command may land on: it is let in where all of them are. */
export const decideEverywhere = (
  landings: Specified['landings'],
  decide: (landing: Landing) => Decision,
): Decision & { readonly target: string } => {
  const [first, ...others] = landings.map((landing) => ({ ...decide(landing), target: landing.target.name }));
  return others.reduce(
    (worst, one) => (STRICTNESS[one.effect] > STRICTNESS[worst.effect] ? one : worst),
    first as Decision & { readonly target: string },
  );
};

export const factsOf = (
  { role, id }: Pick<Actor, 'role' | 'id'>,
  spec: CommandSpec,
  { target: { name, features }, pool, isolation }: Landing,
  now: Instant,
): Facts => ({
  role,
  member: id,
  target: name,
  pool,
  image: spec.image,
  labels: spec.labels,
  secrets: Object.values(spec.secrets ?? {}).map(secretNameOf),
  isolation,
  network: isolation === 'sandbox' && features.sandbox?.network === 'none' ? 'none' : 'reachable',
  timeoutSeconds: spec.timeoutSeconds,
  queueTtlSeconds: spec.queueTtlSeconds,
  cpu: spec.cpu,
  memoryMiB: spec.memoryMiB,
  attempts: spec.retry.maxAttempts,
  now,
});

const VERBS = { allow: 'allows', deny: 'denies', approval: 'asks for an approval of' } as const;

/** One sentence for a person: which rule decides, about what. */
export const becauseOf = ({ effect, rule, program, unreadable }: Decision): string => {
  const what = program === undefined ? 'this' : quoted(program);
  if (rule)
    return `The rule ${rule.name} ${VERBS[effect]} ${what}${rule.reason === undefined ? '' : `: ${rule.reason}`}.`;
  if (unreadable.length > 0 && effect !== 'allow') {
    return `It cannot be told what this runs (${unreadable.join('; ')}), and the policy ${VERBS[effect]} what cannot be read.`;
  }
  return `No rule applies to ${what}, and the policy ${VERBS[effect]} what no rule applies to.`;
};

const FILES: Readonly<Record<string, string>> = { '>': 'a file that is written', '<': 'a file that is read' };
const quoted = (program: string): string => FILES[program] ?? JSON.stringify(program.slice(0, 100));

const pointerOf = ({ program, unreadable }: Decision, { argv }: CommandSpec): string =>
  program === undefined && unreadable.length === 0 ? '' : argv ? '/argv' : '/script';
