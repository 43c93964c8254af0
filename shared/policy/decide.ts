import type { Instant } from '../domain/clock.ts';
import { ISOLATION_LEVELS, type Isolation } from '../domain/command.ts';
import type { Conditions, Effect, Policy, PolicyRule } from '../domain/policy.ts';
import { matchesGlob } from './glob.ts';
import { isWithin } from './hours.ts';
import type { Argument, Invocation, Reading } from './invocation.ts';

/** What a rule may look at, besides the programs. */
export interface Facts {
  readonly role: string;
  readonly member: string;
  readonly target: string;
  /** By which it may land there. */
  readonly pool?: string | undefined;
  readonly image?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** By name. */
  readonly secrets: readonly string[];
  readonly isolation: Isolation;
  readonly network: 'reachable' | 'none';
  readonly timeoutSeconds: number;
  readonly queueTtlSeconds: number;
  readonly cpu?: number | undefined;
  readonly memoryMiB?: number | undefined;
  readonly attempts: number;
  readonly now: Instant;
}

export interface Decision {
  readonly effect: Effect;
  /** The rule that decided; undefined for the policy's default, and for what cannot be read. */
  readonly rule?: PolicyRule | undefined;
  /** What it decided about, where that was a program. */
  readonly program?: string | undefined;
  /** Why it cannot be told what the command runs; empty when it can, and when no rule asks. */
  readonly unreadable: readonly string[];
  /** Each program, and what applies to it. */
  readonly programs: readonly Judged[];
}

export interface Judged {
  readonly invocation: Invocation;
  readonly effect: Effect;
  /** All rules that apply, the first of those that decided first. */
  readonly rules: readonly PolicyRule[];
}

/** The strictest wins. */
const STRICTNESS: Readonly<Record<Effect, number>> = { allow: 0, approval: 1, deny: 2 };
const strictest = <T extends { readonly effect: Effect }>(all: readonly T[]): T | undefined =>
  all.toSorted((a, b) => STRICTNESS[b.effect] - STRICTNESS[a.effect])[0];

/** What runs nothing is still a command. */
const NOTHING: Invocation = { program: ':', args: [], builtin: true };

/** Decides about a command. Every program that it runs must be let in; a rule that may apply is taken to, if it is against it. */
export const decide = (policy: Policy, facts: Facts, { invocations, unreadable }: Reading): Decision => {
  const programs = (invocations.length > 0 ? invocations : [NOTHING]).map((invocation): Judged => {
    const rules = policy.rules
      .filter((rule) => applies(rule, facts, invocation))
      .toSorted((a, b) => STRICTNESS[b.effect] - STRICTNESS[a.effect]);
    return { invocation, rules, effect: rules[0]?.effect ?? policy.default };
  });
  const worst = strictest(programs) as Judged;
  const [rule] = worst.rules;
  const { program, builtin } = worst.invocation;
  const isUnread = unreadable.length > 0 && policy.rules.some(asksForPrograms);
  const ofUnread = policy.unreadable ?? 'deny';
  const judged = { programs, unreadable: isUnread ? unreadable : [] };
  if (isUnread && STRICTNESS[ofUnread] > STRICTNESS[worst.effect]) return { effect: ofUnread, ...judged };
  const isAboutProgram = rule ? asksForPrograms(rule) : policy.rules.some(asksForPrograms);
  return { effect: worst.effect, rule, ...(isAboutProgram && !builtin ? { program } : {}), ...judged };
};

const PROGRAM_CONDITIONS = ['programs', 'everyArgument', 'anyArgument'] as const;
/** Whether it is about what is run, and not only about how. */
export const asksForPrograms = ({ except, ...rule }: PolicyRule): boolean =>
  [rule, except ?? {}].some((conditions: Conditions) =>
    PROGRAM_CONDITIONS.some((name) => conditions[name] !== undefined),
  );

/** How sure a match has to be: what is against a command applies if it may, what is for it only if it does. */
type Certainty = 'may' | 'surely';

const applies = (rule: PolicyRule, facts: Facts, invocation: Invocation): boolean => {
  const certainty = rule.effect === 'allow' ? 'surely' : 'may';
  const opposite = certainty === 'surely' ? 'may' : 'surely';
  return holds(rule, facts, invocation, certainty) && !(rule.except && holds(rule.except, facts, invocation, opposite));
};

const holds = (conditions: Conditions, facts: Facts, invocation: Invocation, certainty: Certainty): boolean => {
  const { roles, members, targets, images, labels, secrets, isolationBelow, network, over, hours } = conditions;
  const isOne = (patterns: readonly string[] | undefined, texts: readonly (string | undefined)[]) =>
    !patterns || texts.some((text) => text !== undefined && patterns.some((pattern) => matchesGlob(pattern, text)));
  return (
    isOne(roles, [facts.role]) &&
    isOne(members, [facts.member]) &&
    isOne(targets, [facts.target, facts.pool]) &&
    isOne(images, [facts.image]) &&
    isOne(secrets, facts.secrets) &&
    Object.entries(labels ?? {}).every(([name, pattern]) => isOne([pattern], [facts.labels[name]])) &&
    (isolationBelow === undefined || rankOf(facts.isolation) < rankOf(isolationBelow)) &&
    (network === undefined || network === facts.network) &&
    (over === undefined || isOver(over, facts)) &&
    (hours === undefined || isWithin(hours, facts.now)) &&
    runs(conditions, invocation, certainty)
  );
};

const rankOf = (level: Isolation): number => ISOLATION_LEVELS.indexOf(level);

const isOver = (most: NonNullable<Conditions['over']>, facts: Facts): boolean =>
  (Object.entries(most) as [keyof typeof most, number | undefined][]).some(
    ([name, limit]) => limit !== undefined && (facts[name] ?? 0) > limit,
  );

/** What the shell does by itself needs no leave, but can be denied. */
const runs = (
  { programs, everyArgument, anyArgument }: Conditions,
  invocation: Invocation,
  certainty: Certainty,
): boolean => {
  const { program, args, builtin } = invocation;
  if (builtin && certainty === 'surely') return true;
  const isProgram = certainty === 'surely' ? isSurely : maybe;
  const isOne = (patterns: readonly string[]) => (argument: Argument) =>
    argument === undefined
      ? certainty === 'may' || patterns.includes('*')
      : patterns.some((pattern) => matchesGlob(pattern, argument));
  return (
    (programs === undefined || programs.some((pattern) => isProgram(pattern, program))) &&
    (everyArgument === undefined || args.every(isOne(everyArgument))) &&
    (anyArgument === undefined || args.some(isOne(anyArgument)))
  );
};

/** Where systems keep their programs: the folders in which a shell looks for a name. */
const SYSTEM_FOLDERS = ['/usr/local/sbin/', '/usr/local/bin/', '/usr/sbin/', '/usr/bin/', '/sbin/', '/bin/'];

const isSurely = (pattern: string, program: string): boolean => {
  if (pattern === '*') return true;
  if (!program.includes('/')) return matchesGlob(pattern, program);
  // A path that goes back and forth leads elsewhere than it looks.
  if (/(^|\/)\.{0,2}(\/|$)/.test(program.slice(1))) return false;
  if (pattern.includes('/')) return matchesGlob(pattern, program);
  const folder = SYSTEM_FOLDERS.find((one) => program.startsWith(one) && !program.slice(one.length).includes('/'));
  return folder !== undefined && matchesGlob(pattern, program.slice(folder.length));
};

const maybe = (pattern: string, program: string): boolean => {
  const name = program.slice(program.lastIndexOf('/') + 1);
  if (matchesGlob(pattern, program)) return true;
  if (!pattern.includes('/')) return matchesGlob(pattern, name);
  if (!program.includes('/')) return SYSTEM_FOLDERS.some((folder) => matchesGlob(pattern, folder + name));
  // From wherever it is run, by whatever detour, it may be that one.
  const isPlain = program.startsWith('/') && isSurely('/*', program);
  return !isPlain && matchesGlob(pattern.slice(pattern.lastIndexOf('/') + 1), name);
};
