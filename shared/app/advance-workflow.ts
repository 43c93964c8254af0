import { actorOfMember } from '../access/rights.ts';
import type { Actor } from '../domain/actor.ts';
import { type Instant, toTimestamp } from '../domain/clock.ts';
import { isFinal, type Status } from '../domain/command.ts';
import { AppError, PROBLEMS } from '../domain/errors.ts';
import type { Json } from '../domain/json-pointer.ts';
import {
  type End,
  type Refusal,
  type Seen,
  type Stepped,
  type Submission,
  stepWorkflow,
  type WorkflowEffect,
} from '../domain/workflow-steps.ts';
import { type RunKey, runKeyOf, type Workflow } from '../domain/workflows.ts';
import type { Idempotency } from '../store/commands.ts';
import type { WorkflowReference } from '../store/schema.ts';
import type { Write } from '../store/store.ts';
import type { StoredWorkflow } from '../store/workflows.ts';
import { withinTrace } from '../telemetry/trace-scope.ts';
import { nodeContextOf, workflowSpansOf } from '../telemetry/workflow-spans.ts';
import { auditWrite } from './audit-events.ts';
import { cancelCommand } from './cancel-command.ts';
import type { Deps } from './deps.ts';
import { eachAtOnce } from './each-at-once.ts';
import { submitCommand, withdrawSubmission } from './submit-command.ts';
import { makeOutputs, type Outputs, type WorkflowPlan } from './workflow-values.ts';
import { countsOf } from './workflow-view.ts';
import { requirePlan, wakeWorkflow } from './workflows.ts';

const AT_ONCE = 8;
/** What was not taken for now is tried again after this. */
const AGAIN_SECONDS = 10;
/** Longer than it takes to come back to a workflow: until then its commands are the same ones, whoever submits them again. */
const KEPT_AFTER_DEADLINE_MS = 31 * 86_400_000;

/**
 * Looks at a workflow and does what is to be done: the one way in for wake-ups. Safe to call at any time, any number of times and by several
 * at once: what is submitted was stored as claimed before, and each of its submissions is the same one.
 * Resolves with when someone must look again, whatever happens; undefined once it has ended.
 */
export const advanceWorkflow = async (deps: Deps, reference: WorkflowReference): Promise<Instant | undefined> => {
  let plan: WorkflowPlan | undefined;
  let submissions: ReadonlyMap<RunKey, Submission> = new Map();
  let generation: number | undefined;
  for (;;) {
    const stored = await deps.workflows.find(reference);
    if (stored?.workflow.status !== 'running') return undefined;
    const { workflow } = stored;
    // It ended and was resumed meanwhile: those were of another time.
    if (generation !== workflow.generation) submissions = new Map();
    generation = workflow.generation;
    plan ??= await requirePlan(deps, workflow);
    const known = plan;
    const ends = await findEnds(deps, workflow);
    const { next, effects } = await step(deps, { workflow, plan, submissions, ends });
    let latest = stored;
    if (next !== workflow) {
      const saved = await deps.workflows.save(stored, next, next.status === 'running' ? [] : [endWrite(deps, next)]);
      // Someone else was faster: what was submitted meanwhile is still the same.
      if (!saved) continue;
      latest = saved;
      if (deps.tracing.exports) for (const span of workflowSpansOf(workflow, next)) deps.tracing.record(span);
    }
    submissions = await withinTrace(next.trace, () => perform(deps, { workflow: next, plan: known, effects }));
    if (submissions.size > 0) continue;
    if (effects.some(({ kind }) => kind !== 'cancel')) await lookAgainSoon(deps, latest);
    return next.dueAt;
  }
};

/** By one wake-up, however many look meanwhile: if each look led to another, their number would grow without end. */
const lookAgainSoon = async (deps: Deps, stored: StoredWorkflow): Promise<void> => {
  const { workflow } = stored;
  const now = deps.clock.now();
  const { againAt = 0 } = workflow;
  // A time that is further off was told by a clock that was wrong.
  if (againAt > now && againAt <= now + AGAIN_SECONDS * 1_000) return;
  const saved = await deps.workflows.save(stored, { ...workflow, againAt: now + AGAIN_SECONDS * 1_000 });
  // Whoever was faster looks by itself.
  if (saved) await wakeWorkflow(deps, workflow, AGAIN_SECONDS);
};

interface Look {
  readonly workflow: Workflow;
  readonly plan: WorkflowPlan;
  readonly submissions: Seen['submissions'];
  readonly ends: Seen['ends'];
}

/** Reads what the step asks for, until it asks for nothing more. */
const step = async (deps: Deps, { workflow, plan, submissions, ends }: Look): Promise<Stepped> => {
  const answers = new Map<string, Json | undefined>();
  const lists = new Map<
    string,
    { readonly count: number } | { readonly refused: { reason: string; detail: string } }
  >();
  for (;;) {
    const stepped = stepWorkflow(plan, workflow, { submissions, ends, answers, lists }, deps.clock.now());
    const { next, unread } = stepped;
    if (unread.answers.length + unread.lists.length === 0) return stepped;
    const outputs = makeOutputs(deps, next, plan);
    for (const name of unread.answers) answers.set(name, await outputs.answer(name));
    for (const name of unread.lists) lists.set(name, await sizeOf(outputs, name));
  }
};

const sizeOf = async (outputs: Outputs, name: string) => {
  try {
    return { count: (await outputs.items(name)).length };
  } catch (error) {
    if (!(error instanceof AppError) || error.code === 'unavailable') throw error;
    return { refused: { reason: error.code, detail: error.message } };
  }
};

/** Of the commands that run as far as the workflow knows, those that have ended. */
const findEnds = async ({ commands }: Pick<Deps, 'commands'>, { tenant, nodes }: Workflow): Promise<Seen['ends']> => {
  const running = Object.entries(nodes).flatMap(([name, { status, runs = [] }]) =>
    status === 'running'
      ? runs.flatMap((run, item) =>
          run.status === 'running' && run.command ? [{ key: runKeyOf(name, item), id: run.command }] : [],
        )
      : [],
  );
  const found = await commands.findAll(
    tenant,
    running.map(({ id }) => id),
  );
  const commandById = new Map(found.map((command) => [command.id, command]));
  const ends = new Map<RunKey, End>();
  for (const { key, id } of running) {
    const command = commandById.get(id);
    // One that is no longer kept cannot be asked.
    if (!command) ends.set(key, { status: 'lost', exitCode: null });
    else if (isEnd(command.status))
      ends.set(key, { status: command.status, exitCode: command.result?.exitCode ?? null });
  }
  return ends;
};

const isEnd = (status: Status): status is End['status'] => isFinal(status);

/** Resolves with what was submitted, or refused for good; what was not taken for now is not in it. */
const perform = async (
  deps: Deps,
  { workflow, plan, effects }: Pick<Look, 'workflow' | 'plan'> & { readonly effects: readonly WorkflowEffect[] },
): Promise<ReadonlyMap<RunKey, Submission>> => {
  const submissions = new Map<RunKey, Submission>();
  if (effects.length === 0) return submissions;
  const actor = await actorOf(deps, workflow);
  const outputs = makeOutputs(deps, workflow, plan);
  await eachAtOnce(
    effects,
    AT_ONCE,
    async (effect) => {
      if (effect.kind === 'cancel') return cancelOne(deps, workflow, effect.command);
      const submission =
        effect.kind === 'withdraw'
          ? await withdraw(deps, workflow, effect, { reason: 'canceled' })
          : await trySubmit(deps, { workflow, plan, outputs, actor }, effect);
      if (submission) submissions.set(runKeyOf(effect.node, effect.item), submission);
    },
    (error) => deps.log.error('A workflow could not go on; the next look will try again', { id: workflow.id, error }),
  );
  return submissions;
};

/** Whoever submitted or resumed it last, with the rights of now. */
const actorOf = ({ principals }: Pick<Deps, 'principals'>, workflow: Workflow): Promise<Actor | undefined> =>
  actorOfMember(principals, workflow.tenant, {
    id: workflow.member,
    scope: workflow.scope,
    credential: { kind: 'workflow', id: workflow.id },
  });

/** What it ends needs nobody's rights any more: they were its own commands. */
const ownActor = ({ id, tenant, member }: Workflow): Actor => ({
  ...{ id: member, tenant, scope: {} },
  role: 'none',
  permissions: new Set(),
  credential: { kind: 'workflow', id },
});

const cancelOne = async (deps: Deps, workflow: Workflow, id: Parameters<typeof cancelCommand>[2]): Promise<void> => {
  await cancelCommand(deps, ownActor(workflow), id).catch((error: unknown) => {
    // It has ended meanwhile.
    if (!(error instanceof AppError) || error.code === 'unavailable') throw error;
  });
};

/** What makes all tries to submit a run the same submission. No caller's key can be the same: those are kept as digests. */
const idempotencyOf = (
  { id, generation, deadlineAt }: Workflow,
  { node, item }: { readonly node: string; readonly item: number },
): Idempotency => {
  const key = `${id}-${generation}-${node}-${item}`;
  return { keyHash: key, bodyHash: key, expiresAt: deadlineAt + KEPT_AFTER_DEADLINE_MS };
};

interface Submitting extends Pick<Look, 'workflow' | 'plan'> {
  readonly outputs: Outputs;
  readonly actor: Actor | undefined;
}

/** Undefined when it is to be tried again later. */
const trySubmit = async (
  deps: Deps,
  { workflow, plan, outputs, actor }: Submitting,
  { node, item }: Extract<WorkflowEffect, { kind: 'submit' }>,
): Promise<Submission | undefined> => {
  const idempotency = idempotencyOf(workflow, { node, item });
  if (isForgotten(idempotency, deps.clock.now())) return { refused: FORGOTTEN };
  try {
    const submitter = requireSubmitter(workflow, actor);
    const body = await outputs.resolve(node, item);
    const isOneOfMany = plan.nodes[node]?.forEach !== undefined;
    const origin = { id: workflow.id, node, ...(isOneOfMany ? { item } : {}) };
    const { command } = await withinTrace(nodeContextOf(workflow, node, deps.tracing.exports), () =>
      submitCommand(deps, submitter, { body, idempotency, workflow: origin }),
    );
    return { command: command.id };
  } catch (error) {
    const isOurs = !(error instanceof AppError);
    if (isOurs) deps.log.error('A command of a workflow could not be submitted', { id: workflow.id, node, error });
    // What is full now may have room later.
    if (isOurs || PROBLEMS[error.code].retryable) return undefined;
    return withdraw(deps, workflow, { node, item }, { reason: error.code, detail: error.message });
  }
};

/** Refused, unless it was let in before, or is just now. */
const withdraw = async (
  deps: Deps,
  workflow: Workflow,
  run: { readonly node: string; readonly item: number },
  why: Refusal,
): Promise<Submission> => {
  const idempotency = idempotencyOf(workflow, run);
  if (isForgotten(idempotency, deps.clock.now())) return { refused: FORGOTTEN };
  const earlier = await withdrawSubmission(deps, workflow.tenant, idempotency);
  return earlier === undefined ? { refused: why } : { command: earlier };
};

const FORGOTTEN: Refusal = {
  reason: 'lost',
  detail: 'It was about to be submitted so long ago that nobody knows if it was.',
};

/** Then a repetition might not be told from another submission. */
const isForgotten = ({ expiresAt }: Idempotency, now: Instant): boolean => now >= expiresAt;

const requireSubmitter = ({ member }: Workflow, actor: Actor | undefined): Actor => {
  if (actor?.permissions.has('commands:submit')) return actor;
  const why = actor ? 'may not submit commands any more' : 'is gone or disabled, or its tenant is suspended';
  throw new AppError('forbidden', `The workflow’s member ${member} ${why}. Whoever resumes the workflow owns it.`);
};

const endWrite = (deps: Deps, workflow: Workflow): Write => {
  const { id, status, generation, startedAt } = workflow;
  const { succeeded, failed, skipped, canceled } = countsOf(workflow);
  const details = { status, generation, startedAt: toTimestamp(startedAt), succeeded, failed, skipped, canceled };
  return auditWrite(deps, ownActor(workflow), 'workflow.ended', id, details);
};
