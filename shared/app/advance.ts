import type { Instant } from '../domain/clock.ts';
import type { WakeUp } from '../queue/queue.ts';
import { isWorkflowReference } from '../store/schema.ts';
import { withinTrace } from '../telemetry/trace-scope.ts';
import { advanceCommand } from './advance-command.ts';
import type { Deps } from './deps.ts';

/** Looks at what a wake-up names, and does what is to be done. Resolves with when a workflow must be looked at again, whatever happens. */
export const advance = async (deps: Deps, { id }: WakeUp): Promise<Instant | undefined> => {
  if (!isWorkflowReference(id)) {
    await advanceCommand(deps, id);
    return undefined;
  }
  // Loaded with the first: most workers never see one.
  const { advanceWorkflow } = await import('./advance-workflow.ts');
  // Whoever's work led here, this is not part of it.
  return withinTrace(undefined, () => advanceWorkflow(deps, id));
};
