import { type Json, resolvePointer, type Scalar } from './json-pointer.ts';
import { type Claim, type Condition, isCounted, type NodeState, type Plan, type PlannedNode } from './workflows.ts';

/** What a node wrote, read as JSON; undefined where it is none. Nodes that were not read are not in it. */
export type Answers = ReadonlyMap<string, Json | undefined>;

/** Whether a node runs now that all it needs has ended; or the nodes whose output has to be read before that can be told. */
type Judged = { readonly runs: boolean } | { readonly unread: readonly string[] };

interface Known {
  readonly plan: Plan<unknown>;
  readonly stateOf: (name: string) => NodeState | undefined;
  readonly answers: Answers;
}

export const judge = (known: Known, { needs = [], if: condition = 'succeeded' }: PlannedNode<unknown>): Judged => {
  const unread = new Set<string>();
  const holds = (claim: Claim): boolean => {
    const state = known.stateOf(claim.node);
    const isUnread = claim.json !== undefined && wasRun(state) && !known.answers.has(claim.node);
    if (isUnread) unread.add(claim.node);
    return isUnread ? false : isTrue(claim, state, known.answers) !== (claim.not ?? false);
  };
  const runs = isMet(condition, {
    holds,
    succeeded: () => needs.every((name) => countsAsSuccess(known, name)),
    failed: () => needs.some((name) => known.stateOf(name)?.status === 'failed'),
  });
  // One that is read shows whether others have to be.
  return unread.size > 0 ? { unread: [...unread] } : { runs };
};

const isMet = (
  condition: Condition,
  judges: {
    readonly holds: (claim: Claim) => boolean;
    readonly succeeded: () => boolean;
    readonly failed: () => boolean;
  },
): boolean => {
  if (condition === 'always') return true;
  if (condition === 'succeeded') return judges.succeeded();
  if (condition === 'failed') return judges.failed();
  if ('node' in condition) return judges.holds(condition);
  // All of them are looked at, so that all that has to be read is told at once.
  if ('all' in condition) return condition.all.map((part) => isMet(part, judges)).every(Boolean);
  return condition.any.map((part) => isMet(part, judges)).some(Boolean);
};

/** A failure that is allowed is no reason for others not to run. */
const countsAsSuccess = ({ plan, stateOf }: Pick<Known, 'plan' | 'stateOf'>, name: string): boolean => {
  const status = stateOf(name)?.status;
  const node = plan.nodes[name];
  return status === 'succeeded' || (status === 'failed' && node !== undefined && !isCounted(node));
};

const wasRun = (state: NodeState | undefined): boolean => state?.status === 'succeeded' || state?.status === 'failed';

const isTrue = (
  { node, is, exitCode, json, equals }: Claim,
  state: NodeState | undefined,
  answers: Answers,
): boolean => {
  if (is !== undefined) return state !== undefined && listOf(is).some((one) => one === state.status);
  if (exitCode !== undefined) return wasRun(state) && listOf(exitCode).some((one) => one === state?.exitCode);
  const found = resolvePointer(wasRun(state) ? answers.get(node) : undefined, json ?? '');
  return found !== undefined && listOf<Scalar>(equals ?? null).some((one) => one === found);
};

const listOf = <T>(one: T | readonly T[]): readonly T[] => (Array.isArray(one) ? one : [one as T]);
