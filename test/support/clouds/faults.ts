/** What goes wrong with requests to a cloud: each operation has its own line of faults. */
export interface Faults<Operation extends string, Fault> {
  /** The next requests of the operation meet these, one each. */
  next(operation: Operation, ...faults: readonly Fault[]): void;
  take(operation: Operation): Fault | undefined;
}

export const makeFaults = <Operation extends string, Fault>(): Faults<Operation, Fault> => {
  const waiting = new Map<Operation, Fault[]>();
  return {
    next(operation, ...faults) {
      waiting.set(operation, [...(waiting.get(operation) ?? []), ...faults]);
    },
    take: (operation) => waiting.get(operation)?.shift(),
  };
};
