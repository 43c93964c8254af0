import { AsyncLocalStorage } from 'node:async_hooks';
import type { TraceContext } from '../domain/trace-context.ts';

/*
 * What the present work belongs to, for whoever submits a command or writes a log line within it. Passed on by the runtime rather
 * than by arguments, as it concerns neither the use cases in between nor what they decide.
 */
const scope = new AsyncLocalStorage<TraceContext | undefined>();

export const currentTrace = (): TraceContext | undefined => scope.getStore();

/** Does the work within a context; `undefined`: within none, whatever it was called from. */
export const withinTrace = <T>(context: TraceContext | undefined, work: () => T): T =>
  context === scope.getStore() ? work() : scope.run(context, work);
