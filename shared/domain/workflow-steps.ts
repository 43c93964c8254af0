import type { Instant } from './clock.ts';
import type { Status } from './command.ts';
import type { CommandId } from './ids.ts';
import { LIMITS } from './limits.ts';
import { type Answers, judge } from './workflow-conditions.ts';
import { dependentsOf, orderOf } from './workflow-graph.ts';
import {
  isCounted,
  isEnded,
  type NodeState,
  type Plan,
  type PlannedNode,
  type Run,
  type RunKey,
  runKeyOf,
  type Workflow,
  type WorkflowStatus,
} from './workflows.ts';

/** How a command of it ended. */
export interface End {
  readonly status: Exclude<Status, 'queued' | 'starting' | 'running'>;
  readonly exitCode: number | null;
}

/** Why something was not done, for a person and for a program. */
export interface Refusal {
  readonly reason: string;
  readonly detail?: string | undefined;
}

/** What came of submitting what was claimed. */
export type Submission = { readonly command: CommandId } | { readonly refused: Refusal };

/** What was seen since the workflow was stored. */
export interface Seen {
  readonly submissions: ReadonlyMap<RunKey, Submission>;
  /** Of commands that run as far as the workflow knows. */
  readonly ends: ReadonlyMap<RunKey, End>;
  readonly answers: Answers;
  /** How many items the nodes with a `forEach` of an output have. */
  readonly lists: ReadonlyMap<string, { readonly count: number } | { readonly refused: Refusal }>;
}
export const NOTHING_SEEN: Seen = { submissions: new Map(), ends: new Map(), answers: new Map(), lists: new Map() };

/** What is to be done once `next` is stored, and never before. Each may be done twice. */
export type WorkflowEffect =
  | { readonly kind: 'submit'; readonly node: string; readonly item: number }
  /** It was claimed and is wanted no more: to be found, where it was submitted, and otherwise not to be submitted by anybody. */
  | { readonly kind: 'withdraw'; readonly node: string; readonly item: number }
  | { readonly kind: 'cancel'; readonly command: CommandId };

export interface Stepped {
  /** The same object where nothing changed. */
  readonly next: Workflow;
  readonly effects: readonly WorkflowEffect[];
  /** What has to be read before more can be decided: step again with it. */
  readonly unread: {
    /** The output of these, as JSON. */
    readonly answers: readonly string[];
    /** The lists of these. */
    readonly lists: readonly string[];
  };
}

/** The net below every wake-up: so often someone looks whatever happens. */
const LOOK_EVERY_MS = 60_000;

/**
 * Where a workflow goes by what was seen of its commands. Reads no clock and no store. Whatever it is called with, and however often: no node
 * begins before all that it needs has ended, nothing is submitted that is not stored as claimed, and no more than `concurrency` at once.
 */
export const stepWorkflow = (plan: Plan<unknown>, workflow: Workflow, seen: Seen, now: Instant): Stepped => {
  if (workflow.status !== 'running') return { next: workflow, effects: [], unread: { answers: [], lists: [] } };
  const stop = workflow.stop ?? (now >= workflow.deadlineAt ? 'timed_out' : undefined);
  const walk = makeWalk(plan, { ...workflow, stop }, seen, now);
  walk.go();
  const { nodes, isChanged, unread, effects } = walk;
  const isOver = Object.values(nodes).every(({ status }) => isEnded(status));
  const dueAt = isOver ? undefined : nextLook(workflow, stop, now);
  if (!isChanged() && stop === workflow.stop && dueAt === workflow.dueAt) return { next: workflow, effects, unread };
  const moved: Workflow = { ...workflow, nodes, stop, dueAt };
  const next = isOver ? { ...moved, status: statusOf(plan, moved), endedAt: now } : moved;
  return { next, effects, unread };
};

const nextLook = ({ dueAt = 0, deadlineAt }: Workflow, stop: Workflow['stop'], now: Instant): Instant => {
  // A place in the index that is still to come is kept: moving it with each step would only cost.
  const look = dueAt > now ? dueAt : now + LOOK_EVERY_MS;
  return stop === undefined ? Math.min(look, deadlineAt) : look;
};

/** Nothing of a stop shows where everything had ended by itself. */
const statusOf = (plan: Plan<unknown>, { nodes, stop }: Workflow): WorkflowStatus => {
  const states = Object.values(nodes);
  if (stop !== undefined && states.some(({ status }) => status === 'canceled')) {
    return stop === 'timed_out' ? 'timed_out' : 'canceled';
  }
  return hasFailed(plan, nodes) ? 'failed' : 'succeeded';
};

const hasFailed = ({ nodes: planned }: Plan<unknown>, nodes: Workflow['nodes']): boolean =>
  Object.entries(planned).some(([name, node]) => nodes[name]?.status === 'failed' && isCounted(node));

/** One of many items is enough to stop the others. */
const isFailing = (node: PlannedNode<unknown>, { status, runs = [] }: NodeState): boolean =>
  isCounted(node) && (status === 'failed' || (status === 'running' && runs.some((run) => run.status === 'failed')));

/** One pass over the nodes. */
const makeWalk = (plan: Plan<unknown>, workflow: Workflow, seen: Seen, now: Instant) => {
  const { stop } = workflow;
  const nodes: Record<string, NodeState> = { ...workflow.nodes };
  const nodeOf = (name: string): PlannedNode<unknown> => plan.nodes[name] as PlannedNode<unknown>;
  const unread = { answers: [] as string[], lists: [] as string[] };
  const effects: WorkflowEffect[] = [];
  let changed = false;
  const order = orderOf(plan.nodes);
  // As it was before this step: whatever failed within it is told by `put`.
  let failed = plan.failFast && order.some((name) => isFailing(nodeOf(name), nodes[name] ?? { status: 'waiting' }));
  let runCount = Object.values(nodes).reduce((sum, { runs = [] }) => sum + runs.length, 0);
  const stateOf = (name: string): NodeState | undefined => nodes[name];

  const put = (name: string, state: NodeState): void => {
    nodes[name] = state;
    changed = true;
    if (plan.failFast && isFailing(nodeOf(name), state)) failed = true;
  };
  const end = (
    name: string,
    status: NodeState['status'],
    why: { readonly reason?: string | undefined; readonly detail?: string | undefined } = {},
  ): void => {
    const { runs, startedAt, exitCode } = nodes[name] ?? {};
    const { reason, detail } = why;
    put(name, { ...{ status, runs, exitCode, reason, detail, startedAt }, endedAt: now });
  };

  /** Why a node is begun no more, and its commands are canceled. One with an `if` says itself when it runs. */
  const stoppedBy = ({ if: condition }: PlannedNode<unknown>): string | undefined =>
    stop ?? (failed && condition === undefined ? 'fail-fast' : undefined);

  const begin = (name: string): void => {
    const node = nodeOf(name);
    const kept = nodes[name]?.runs;
    const sized = kept ? { count: kept.length } : sizeOf(name, node);
    if (!sized) return;
    if ('refused' in sized) return void end(name, 'failed', sized.refused);
    const { count } = sized;
    const more = kept ? 0 : count;
    if (runCount + more > LIMITS.workflowRuns) {
      const detail = `It has ${count} items, and a workflow runs at most ${LIMITS.workflowRuns} commands.`;
      return void end(name, 'failed', { reason: 'too-large', detail });
    }
    runCount += more;
    const runs = kept ?? Array.from({ length: count }, (): Run => ({ status: 'waiting' }));
    put(name, { status: 'running', runs, startedAt: now });
    if (runs.every(({ status }) => status === 'succeeded')) end(name, 'succeeded');
  };

  const sizeOf = (name: string, { forEach }: PlannedNode<unknown>) => {
    if (!forEach) return { count: 1 };
    if ('items' in forEach) return { count: forEach.items.length };
    const list = seen.lists.get(name);
    if (!list) unread.lists.push(name);
    return list;
  };

  const consider = (name: string): void => {
    const node = nodeOf(name);
    const { needs = [] } = node;
    if (stop !== undefined) return void end(name, 'canceled', { reason: stop });
    if (!needs.every((needed) => isEnded(nodes[needed]?.status ?? 'waiting'))) return;
    const stopped = stoppedBy(node);
    if (stopped !== undefined) return void end(name, 'skipped', { reason: stopped });
    const judged = judge({ plan, stateOf, answers: seen.answers }, node);
    if ('unread' in judged) unread.answers.push(...judged.unread.filter((one) => !unread.answers.includes(one)));
    else if (judged.runs) begin(name);
    else end(name, 'skipped', { reason: 'condition' });
  };

  /** What became of its commands. */
  const follow = (name: string): void => {
    const state = nodes[name] as NodeState;
    const isSingle = nodeOf(name).forEach === undefined;
    const stopped = stoppedBy(nodeOf(name));
    let { exitCode, reason, detail } = state;
    let isNews = false;
    const runs = (state.runs ?? []).map((run, item): Run => {
      const moved = moveRun(run, runKeyOf(name, item), { seen, isStopped: stopped !== undefined });
      if (moved.run !== run) isNews = true;
      if (isSingle && moved.exitCode !== undefined) exitCode = moved.exitCode;
      // Of many the first that is seen stands for all.
      if (moved.refusal && reason === undefined) ({ reason, detail } = moved.refusal);
      return moved.run;
    });
    if (isNews) put(name, { ...state, runs, exitCode, reason, detail: detail?.slice(0, MOST_DETAIL) });
    if (!runs.every(({ status }) => isRunOver(status))) return;
    const has = (status: Run['status']) => runs.some((run) => run.status === status);
    if (has('failed')) end(name, 'failed', { reason, detail: detail?.slice(0, MOST_DETAIL) });
    else if (has('canceled')) end(name, 'canceled', { reason: stopped ?? 'canceled' });
    else end(name, 'succeeded');
  };

  /** Each behind what it needs, so that all that follows from one end follows in one step. */
  const visitAll = (): void => {
    for (const name of order) {
      const status = nodes[name]?.status ?? 'waiting';
      if (status === 'waiting') consider(name);
      else if (status === 'running') follow(name);
    }
  };

  /** Claims as many as may run at once, those of the first nodes first; and tells what is to be done about all of them. */
  const claim = (): void => {
    const running = order.filter((name) => nodes[name]?.status === 'running');
    const isActive = ({ status }: Run) => status === 'claimed' || status === 'running';
    let active = running.reduce((sum, name) => sum + (nodes[name]?.runs ?? []).filter(isActive).length, 0);
    for (const name of running) {
      const state = nodes[name] as NodeState;
      const stopped = stoppedBy(nodeOf(name)) !== undefined;
      let isNews = false;
      const runs = (state.runs ?? []).map((run, item): Run => {
        if (run.status === 'waiting' && !stopped && active < plan.concurrency) {
          active++;
          isNews = true;
          effects.push({ kind: 'submit', node: name, item });
          return { status: 'claimed' };
        }
        if (run.status === 'claimed') effects.push({ kind: stopped ? 'withdraw' : 'submit', node: name, item });
        if (run.status === 'running' && stopped && run.command) effects.push({ kind: 'cancel', command: run.command });
        return run;
      });
      if (isNews) put(name, { ...state, runs });
    }
  };

  return {
    nodes,
    unread,
    effects,
    isChanged: () => changed,
    go(): void {
      const hadFailed = failed;
      visitAll();
      // What comes before the one that failed is stopped by it too.
      if (failed && !hadFailed) visitAll();
      claim();
    },
  };
};

/** For a person: the first sentences, as there may be 500 nodes in one record. */
const MOST_DETAIL = 200;

const isRunOver = (status: Run['status']): boolean =>
  status === 'succeeded' || status === 'failed' || status === 'canceled';

interface MovedRun {
  readonly run: Run;
  readonly exitCode?: number | null;
  readonly refusal?: Refusal;
}

const moveRun = (
  run: Run,
  key: RunKey,
  { seen, isStopped }: { readonly seen: Seen; readonly isStopped: boolean },
): MovedRun => {
  if (run.status === 'waiting' && isStopped) return { run: { status: 'canceled' } };
  if (run.status === 'claimed') {
    const submission = seen.submissions.get(key);
    if (!submission) return { run };
    if ('command' in submission) return { run: { status: 'running', command: submission.command } };
    // Nothing of it was ever there.
    if (isStopped) return { run: { status: 'canceled' } };
    return { run: { status: 'failed' }, refusal: submission.refused };
  }
  const end = run.status === 'running' ? seen.ends.get(key) : undefined;
  if (!end) return { run };
  const { command } = run;
  const { exitCode } = end;
  if (end.status === 'succeeded') return { run: { status: 'succeeded', command }, exitCode };
  if (end.status === 'canceled' && isStopped) return { run: { status: 'canceled', command }, exitCode };
  return { run: { status: 'failed', command }, exitCode, refusal: { reason: end.status } };
};

/** A workflow as it begins. */
export const startWorkflow = (
  plan: Plan<unknown>,
  workflow: Omit<Workflow, 'status' | 'generation' | 'submittedAt' | 'startedAt' | 'deadlineAt' | 'dueAt' | 'nodes'>,
  now: Instant,
): Workflow => ({
  ...workflow,
  status: 'running',
  generation: 1,
  submittedAt: now,
  startedAt: now,
  deadlineAt: now + plan.timeoutSeconds * 1_000,
  dueAt: now,
  nodes: Object.fromEntries(Object.keys(plan.nodes).map((name) => [name, { status: 'waiting' as const }])),
});

/** Begins no more, and cancels what runs. Undefined when it was asked to already, or has ended. */
export const cancelWorkflow = (workflow: Workflow, now: Instant): Workflow | undefined =>
  workflow.status === 'running' && workflow.stop === undefined
    ? { ...workflow, stop: 'canceled', dueAt: now }
    : undefined;

/**
 * Of a store that is an older one than whoever ran it last had: what it was about to submit may have run, and nobody can say how that ended.
 * Undefined when it has ended.
 */
export const stopRestored = (workflow: Workflow, now: Instant): Workflow | undefined => {
  if (workflow.status !== 'running') return undefined;
  const unclaimed = (run: Run): Run => (run.status === 'claimed' ? { status: 'failed' } : run);
  const nodes = Object.entries(workflow.nodes).map(([name, state]) => [
    name,
    state.runs?.some(({ status }) => status === 'claimed')
      ? { ...state, runs: state.runs.map(unclaimed), reason: 'lost' }
      : state,
  ]);
  return { ...workflow, nodes: Object.fromEntries(nodes), stop: 'restored', dueAt: now };
};

/**
 * Runs again what did not succeed, and all that needs it, as another generation; the rest keeps its commands and their results. What was
 * skipped for its condition stays so where nothing that it needs runs again. Undefined when nothing is left to run.
 */
export const resumeWorkflow = (
  plan: Plan<unknown>,
  workflow: Workflow,
  { member, scope }: Pick<Workflow, 'member' | 'scope'>,
  now: Instant,
): Workflow | undefined => {
  const { nodes } = workflow;
  const dependents = dependentsOf(plan.nodes);
  const own = Object.keys(nodes).filter((name) => isToRunAgain(plan.nodes[name], nodes[name]));
  const below = new Set<string>();
  const queue = own.flatMap((name) => dependents.get(name) ?? []);
  for (const name of queue) {
    if (below.has(name)) continue;
    below.add(name);
    queue.push(...(dependents.get(name) ?? []));
  }
  if (own.length === 0) return undefined;
  const again = new Set([...own, ...below]);
  const reset = (name: string, state: NodeState): NodeState => {
    if (!again.has(name)) return state;
    // What it needs is as it was, so its items are.
    const keepsItems = !below.has(name) && plan.nodes[name]?.forEach !== undefined && state.runs;
    if (!keepsItems) return { status: 'waiting' };
    return {
      status: 'waiting',
      runs: keepsItems.map((run) => (run.status === 'succeeded' ? run : { status: 'waiting' })),
    };
  };
  return {
    ...workflow,
    ...{ member, scope },
    status: 'running',
    generation: workflow.generation + 1,
    startedAt: now,
    deadlineAt: now + plan.timeoutSeconds * 1_000,
    dueAt: now,
    endedAt: undefined,
    stop: undefined,
    nodes: Object.fromEntries(Object.entries(nodes).map(([name, state]) => [name, reset(name, state)])),
  };
};

const isToRunAgain = (node: PlannedNode<unknown> | undefined, state: NodeState | undefined): boolean => {
  if (!node || !state) return false;
  if (state.status === 'skipped') return state.reason === 'fail-fast';
  return state.status === 'canceled' || (state.status === 'failed' && isCounted(node));
};
