import type { Operation } from './discovery.ts';

/** What goes wrong with one request. */
export type CloudFault =
  /** The cloud's own error, instead of doing anything. */
  | { readonly kind: 'status'; readonly status: number; readonly code?: string; readonly retryAfterSeconds?: number }
  /** Never answered. */
  | { readonly kind: 'hang' }
  /** The connection is reset before anything happened. */
  | { readonly kind: 'reset' }
  /** Done; the connection is reset instead of an answer. */
  | { readonly kind: 'answer-lost' };

export interface Faults {
  /** The next request of the operation meets this. Several wait in line. */
  next(operation: Operation, ...faults: readonly CloudFault[]): void;
  take(operation: Operation): CloudFault | undefined;
}

export const makeFaults = (): Faults => {
  const waiting = new Map<Operation, CloudFault[]>();
  return {
    next(operation, ...faults) {
      waiting.set(operation, [...(waiting.get(operation) ?? []), ...faults]);
    },
    take: (operation) => waiting.get(operation)?.shift(),
  };
};
