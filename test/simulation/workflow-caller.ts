import type { Deps } from '../../shared/app/deps.ts';
import { cancelWorkflow, getWorkflow, resumeWorkflow, submitWorkflow } from '../../shared/app/workflows.ts';
import type { WorkflowView } from '../../shared/contract/workflow-schemas.ts';
import type { WorkflowId } from '../../shared/domain/ids.ts';
import { type CallerParts, insist, request, sleepIn } from './caller.ts';
import type { WorkflowPlan } from './workflow-scenario.ts';

const POLL_MS = 5_000;

export type WorkflowEvent =
  | { readonly kind: 'acknowledged'; readonly workflow: string; readonly id: string }
  | { readonly kind: 'refused'; readonly workflow: string; readonly what: string; readonly code: string }
  | { readonly kind: 'cancel-confirmed'; readonly workflow: string }
  /** Its caller asks for nothing more. */
  | { readonly kind: 'over'; readonly workflow: string };

/** Has a workflow run, changes its mind, and has what did not succeed run again. */
export const runThrough = (parts: CallerParts, plan: WorkflowPlan, tell: (event: WorkflowEvent) => void): void => {
  const { world, actor } = parts;
  const { name } = plan;
  const sleep = sleepIn(parts);

  const submit = async (): Promise<WorkflowId | undefined> => {
    const submission = { body: plan.body, idempotencyKey: `key-of-${name}` };
    const reply = await insist(parts, (deps) => submitWorkflow(deps, actor, submission));
    if (reply.kind === 'refusal') {
      tell({ kind: 'refused', workflow: name, what: 'submission', code: reply.code });
      return undefined;
    }
    const { id } = reply.value.view;
    world.note('caller', `${name} is acknowledged as ${id.slice(-4)}`);
    tell({ kind: 'acknowledged', workflow: name, id });
    return id;
  };

  const cancel = async (id: WorkflowId): Promise<void> => {
    if (plan.cancelAfterMs === undefined) return;
    await sleep(plan.cancelAfterMs);
    const reply = await insist(parts, (deps) => cancelWorkflow(deps, actor, id));
    world.note('caller', `cancel of ${name}: ${reply.kind === 'answer' ? 'taken' : reply.code}`);
    if (reply.kind === 'answer') tell({ kind: 'cancel-confirmed', workflow: name });
    else if (reply.code !== 'already-final')
      tell({ kind: 'refused', workflow: name, what: 'cancel', code: reply.code });
  };

  const look = (id: WorkflowId) => request(parts, (deps: Deps) => getWorkflow(deps, actor, id));

  const untilEnded = async (id: WorkflowId): Promise<WorkflowView> => {
    for (;;) {
      await sleep(world.rng.between(POLL_MS / 4, POLL_MS));
      const reply = await look(id);
      if (reply.kind === 'refusal') tell({ kind: 'refused', workflow: name, what: 'look', code: reply.code });
      if (reply.kind === 'answer' && reply.value.status !== 'running') return reply.value;
    }
  };

  const follow = async (id: WorkflowId): Promise<void> => {
    for (let resumed = 0; ; resumed++) {
      const { status, generation } = await untilEnded(id);
      world.note('caller', `${name} is ${status}`);
      if (status === 'succeeded' || resumed === plan.resumes) break;
      await sleep(world.rng.between(0, 10_000));
      const reply = await insist(parts, (deps) => resumeWorkflow(deps, actor, id, generation));
      world.note('caller', `resumption of ${name}: ${reply.kind === 'answer' ? 'taken' : reply.code}`);
      if (reply.kind === 'refusal') {
        tell({ kind: 'refused', workflow: name, what: 'resumption', code: reply.code });
        break;
      }
    }
    tell({ kind: 'over', workflow: name });
  };

  world.after(plan.submitAfterMs, () => {
    if (plan.submitsTwice) void submit();
    void submit().then((id) => {
      if (id === undefined) return tell({ kind: 'over', workflow: name });
      void cancel(id);
      void follow(id);
    });
  });
};
