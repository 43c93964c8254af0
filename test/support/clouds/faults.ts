/** What goes wrong with requests to a cloud: each operation has its own line of faults. */
export interface Faults<Operation extends string, Fault> {
  /** The next requests of the operation meet these, one each. */
  next(operation: Operation, ...faults: readonly Fault[]): void;
  take(operation: Operation): Fault | undefined;
}

/** What goes wrong with one request over HTTP. */
export type HttpFault =
  /** The cloud's own error, instead of doing anything. */
  | { readonly kind: 'status'; readonly status: number; readonly code?: string; readonly retryAfterSeconds?: number }
  /** Never answered. */
  | { readonly kind: 'hang' }
  /** The connection is reset before anything happened. */
  | { readonly kind: 'reset' }
  /** Done; the connection is reset instead of an answer. */
  | { readonly kind: 'answer-lost' };

export const makeFaults = <Operation extends string, Fault>(): Faults<Operation, Fault> => {
  const waiting = new Map<Operation, Fault[]>();
  return {
    next(operation, ...faults) {
      waiting.set(operation, [...(waiting.get(operation) ?? []), ...faults]);
    },
    take: (operation) => waiting.get(operation)?.shift(),
  };
};
