/** The engine's numbers. They serve progress only: what is safe never depends on a clock. */
export interface EngineRules {
  /** Who holds a run is trusted to be alive for so long after the last sign of life. */
  readonly leaseSeconds: number;
  /** The lease of an inline run whose runner is elsewhere, once renewed: nobody can be asked for it, so it is given up late. */
  readonly unheardSeconds: number;
  /** An inline start whose ticket is not redeemed by then is given up; nothing ran. */
  readonly startSeconds: number;
  /** A detached run that has not redeemed its ticket is asked after so often. */
  readonly pollSeconds: number;
  /** A queued command is looked at again after so long, in case its wake-up was lost. */
  readonly requeueSeconds: number;
  /** A provider of detached runs is believed that one is gone, and that nobody can say how it ended, once it has said so for so long. */
  readonly goneSeconds: number;
  /** A stop that has not been seen to work is repeated after so long. */
  readonly stopSeconds: number;
  /** A provider that does not answer is asked again after half the time that it has not answered, at most after so long. */
  readonly unreachableSeconds: number;
  /** The same for the removal of what an ended run left. */
  readonly releaseSeconds: number;
  /** What could not be removed by then is left to the search for orphans. */
  readonly giveUpReleaseSeconds: number;
  /** Full jitter: a random wait between 0 and min(cap, base × 2^(tries − 1)). */
  readonly backoff: { readonly baseSeconds: number; readonly capSeconds: number };
}

export const DEFAULT_RULES: EngineRules = {
  leaseSeconds: 30,
  unheardSeconds: 120,
  startSeconds: 60,
  pollSeconds: 15,
  requeueSeconds: 30,
  goneSeconds: 30,
  stopSeconds: 15,
  unreachableSeconds: 300,
  releaseSeconds: 3_600,
  giveUpReleaseSeconds: 7 * 24 * 3_600,
  backoff: { baseSeconds: 1, capSeconds: 60 },
};

/**
 * Full-jitter exponential backoff, in milliseconds
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 * @param tries how many tries there were, from 1
 * @param fraction random, in [0, 1)
 */
export const backoffMs = (rules: EngineRules, tries: number, fraction: number): number => {
  const { baseSeconds, capSeconds } = rules.backoff;
  // 2^30 seconds are beyond any cap; a higher power would only lose precision.
  const ceilingSeconds = Math.min(capSeconds, baseSeconds * 2 ** Math.min(tries - 1, 30));
  return Math.floor(fraction * ceilingSeconds * 1_000);
};
