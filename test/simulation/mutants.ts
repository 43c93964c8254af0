import type { ProfileName } from './profiles.ts';

/** One text of the product, and what stands there instead. */
interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** A bug that the simulation has to find. */
export interface Mutant {
  readonly name: string;
  /** Where it is looked for. */
  readonly profile: ProfileName;
  readonly edits: readonly Edit[];
  /** A second net catches what this one lets through, so that it must not be found alone. */
  readonly hiddenBy?: string;
}

export const MUTANTS: readonly Mutant[] = [];
