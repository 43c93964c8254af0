import type { Rng } from './rng.ts';

/** What can go wrong, each with how often at least and at most when a seed turns it on: of the occasions there are for it. */
const KINDS = {
  // Processes. An occasion is a call to a port, or for the last three a minute of a process's life.
  'crash-before-call': [0.0003, 0.01],
  'crash-after-call': [0.0003, 0.01],
  crash: [0.02, 0.5],
  freeze: [0.02, 0.5],
  'clock-jump': [0.02, 0.3],
  'clock-skew': [0.3, 1],
  // The store.
  'store-refuses': [0.002, 0.1],
  'store-answer-lost': [0.002, 0.1],
  'store-slow': [0.002, 0.1],
  'store-late-write': [0.001, 0.03],
  'store-write-repeated': [0.002, 0.05],
  'index-lags': [0.05, 0.8],
  // The queue, and what is announced within a process.
  'message-lost': [0.02, 0.6],
  'message-doubled': [0.02, 0.6],
  'message-late': [0.02, 0.5],
  'queue-refuses': [0.01, 0.3],
  'change-unannounced': [0.05, 1],
  // Providers: starts.
  'start-refused': [0.02, 0.4],
  'start-refused-for-good': [0.005, 0.05],
  'start-hangs': [0.01, 0.2],
  'start-answer-lost': [0.02, 0.4],
  'start-doubled': [0.02, 0.4],
  'start-late': [0.02, 0.3],
  'start-forgotten': [0.01, 0.2],
  'never-starts': [0.01, 0.1],
  // Providers: what they say, and what they do with runs.
  'gone-after-start': [0.05, 0.6],
  'provider-fails': [0.02, 0.4],
  'cancel-ignored': [0.02, 0.4],
  'run-forgotten': [0.01, 0.2],
  'run-evicted': [0.01, 0.2],
  'run-frozen': [0.01, 0.2],
  'invocation-cut': [0.01, 0.3],
  // Between runners, callers and us.
  'request-lost': [0.005, 0.15],
  'answer-lost': [0.005, 0.15],
} as const satisfies Rates;

/** What came later is drawn after all others, so that a seed stays what it was. */
const LATER_KINDS = {
  // A whole place of execution. An occasion is a minute.
  'place-away': [0.05, 0.5],
} as const satisfies Rates;

/** Drawn from a stream of their own, as they come in every profile. */
const LATEST_KINDS = {
  // A process is one of the version after this one, beside those of this one. An occasion is a process.
  'later-version': [0.2, 0.8],
} as const satisfies Rates;

type Rates = Readonly<Record<string, readonly [least: number, most: number]>>;

export type FaultKind = keyof typeof KINDS | keyof typeof LATER_KINDS | keyof typeof LATEST_KINDS;
export const FAULT_KINDS = [KINDS, LATER_KINDS, LATEST_KINDS].flatMap(Object.keys) as readonly FaultKind[];

/** Which faults a run has, how often each strikes, and how often each did. */
export interface Faults {
  /** Whether it strikes now. */
  strikes(kind: FaultKind): boolean;
  rate(kind: FaultKind): number;
  /** From now on nothing goes wrong any more. */
  end(): void;
  readonly struck: ReadonlyMap<FaultKind, number>;
}

/**
 * A swarm (Groce et al., "Swarm Testing", ISSTA 2012): each seed turns each fault on or off and gives it a rate of its own, so that no
 * fault hides another by always coming first.
 */
export const makeFaults = (rng: Rng): Faults => {
  const share = rng.pick([0, 0.15, 0.4, 0.7]);
  const rates = new Map<FaultKind, number>();
  const drawRates = (kinds: Rates): void => {
    for (const [kind, [least, most]] of Object.entries(kinds)) {
      const rate = least * (most / least) ** rng.fraction();
      if (rng.chance(share)) rates.set(kind as FaultKind, rate);
    }
  };
  drawRates(KINDS);
  const draws = rng.fork();
  drawRates(LATER_KINDS);
  drawRates(LATEST_KINDS);
  const latestDraws = rng.fork();
  const struck = new Map<FaultKind, number>();
  return {
    strikes(kind) {
      const rate = rates.get(kind);
      if (rate === undefined || !(kind in LATEST_KINDS ? latestDraws : draws).chance(rate)) return false;
      struck.set(kind, (struck.get(kind) ?? 0) + 1);
      return true;
    },
    rate: (kind) => rates.get(kind) ?? 0,
    end: () => rates.clear(),
    struck,
  };
};
