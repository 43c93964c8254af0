/** An argument; undefined where it is known only when the command runs. */
export type Argument = string | undefined;

/** A program that a command runs, as it names it, or a file that its shell opens. */
export interface Invocation {
  /** `git`, `/usr/bin/git`; `>` and `<` for a file that is written or read. */
  readonly program: string;
  readonly args: readonly Argument[];
  /** The shell does it by itself, and it does nothing but for the shell. */
  readonly builtin?: true;
}

/** What a command runs, as far as can be told without running it. */
export interface Reading {
  readonly invocations: readonly Invocation[];
  /** Why it cannot be told of all of it; empty when it can. */
  readonly unreadable: readonly string[];
}

/** Collects what is read, within bounds. */
export interface Findings {
  readonly found: (invocation: Invocation) => void;
  readonly unreadable: (why: string) => void;
  /** Reads one level further in, such as the text that a shell is given; beyond so many it cannot be told. */
  readonly within: (read: () => void) => void;
}

const MOST_INVOCATIONS = 2_000;
const MOST_LEVELS = 8;
const MOST_REASONS = 10;

export const collectFindings = (read: (into: Findings) => void): Reading => {
  const invocations: Invocation[] = [];
  const reasons = new Set<string>();
  let level = 0;
  const unreadable = (why: string) => {
    if (reasons.size < MOST_REASONS) reasons.add(why);
  };
  read({
    found(invocation) {
      if (invocations.length < MOST_INVOCATIONS) invocations.push(invocation);
      else unreadable(`it runs more than ${MOST_INVOCATIONS} programs`);
    },
    unreadable,
    within(inner) {
      if (level >= MOST_LEVELS) return unreadable('shells within shells are too deep');
      level++;
      inner();
      level--;
    },
  });
  return { invocations, unreadable: [...reasons] };
};
