import { type Delivered, isMistake, lookUp, parseReference } from '../domain/placeholders.ts';
import type { Condition } from '../domain/triggers.ts';
import { matchesGlob } from '../policy/glob.ts';

/** What became of a condition. */
export interface Verified {
  readonly condition: Condition;
  readonly holds: boolean;
  /** Whether there was a value at all. */
  readonly found: boolean;
}

/** Each condition by itself, so that whoever asks sees which one keeps a delivery out. */
export const verifyFilters = (filters: readonly Condition[], delivered: Delivered): readonly Verified[] =>
  filters.map((condition) => {
    const reference = parseReference(condition.on);
    // What is stored was parsed before; one that is not is none that holds.
    const value = isMistake(reference) ? undefined : lookUp(reference, delivered);
    const isSo = value !== undefined && isFulfilled(condition, value);
    return { condition, found: value !== undefined, holds: isSo !== (condition.not ?? false) };
  });

const isFulfilled = ({ equals, in: among, glob }: Condition, value: unknown): boolean => {
  if (equals !== undefined) return value === equals;
  if (among) return among.some((one) => one === value);
  if (glob) return typeof value === 'string' && glob.some((pattern) => matchesGlob(pattern, value));
  return true;
};
