/** What goes wrong with one request to a cloud. */
export type CloudFault =
  /** The cloud's own error, instead of doing anything. */
  | { readonly kind: 'error'; readonly status: number; readonly code: string; readonly retryAfterSeconds?: number }
  /** Never answered. */
  | { readonly kind: 'hang' }
  /** The connection is reset before anything happened. */
  | { readonly kind: 'reset' }
  /** Done; the connection is reset instead of an answer. */
  | { readonly kind: 'answer-lost' };

export interface Faults {
  /** The next request of the operation meets this. Several wait in line. */
  next(operation: string, fault: CloudFault): void;
  take(operation: string): CloudFault | undefined;
}

export const makeFaults = (): Faults => {
  const waiting = new Map<string, CloudFault[]>();
  return {
    next(operation, fault) {
      waiting.set(operation, [...(waiting.get(operation) ?? []), fault]);
    },
    take: (operation) => waiting.get(operation)?.shift(),
  };
};
