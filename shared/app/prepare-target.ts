import type { Clock } from '../domain/clock.ts';
import type { HeldRun, PreparationParts } from '../providers/provider.ts';
import type { ConfiguredTarget } from '../providers/targets.ts';
import type { Log } from '../telemetry/log.ts';

interface PrepareDeps {
  readonly clock: Clock;
  readonly log: Log;
}

/** Roles and trust that were just made take a while until a cloud knows them everywhere. */
const PATIENCE_MS = 60_000;
const WAIT_MS = 10_000;

/**
 * Makes a target ready: what it needs at its provider is brought, and that commands could be started there is seen.
 * Twice is the same as once.
 * @throws Error that says what is missing, for a person
 */
export const prepareTarget = async (
  { clock, log }: PrepareDeps,
  target: ConfiguredTarget,
  parts: PreparationParts,
): Promise<void> => {
  for (const giveUpAt = clock.now() + PATIENCE_MS; ; ) {
    const fault = await prepareOnce(target, parts);
    if (fault === undefined) return;
    log.warn('A target is not ready', { target: target.name, fault });
    if (clock.now() + WAIT_MS > giveUpAt) throw new Error(`The target ${target.name} is not ready. ${fault}`);
    await clock.sleep(WAIT_MS);
  }
};

/** @returns what is wrong */
const prepareOnce = async (target: ConfiguredTarget, parts: PreparationParts): Promise<string | undefined> => {
  try {
    const provider = await target.load();
    const { healthy, detail = 'The provider does not say why.' } = await provider.health();
    if (!healthy) return detail;
    await provider.prepare?.(parts);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

/**
 * Ends what runs at a target and removes what was made there, until nothing is left or the time is over.
 * @returns what is left and why, for a person; undefined when nothing is. Never rejects.
 */
export const removeTarget = async (
  { clock, log }: PrepareDeps,
  target: ConfiguredTarget,
  forMs: number,
): Promise<string | undefined> => {
  let left: string | undefined;
  for (const giveUpAt = clock.now() + forMs; ; ) {
    left = await removeOnce(target).catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    if (left === undefined) return undefined;
    log.warn('Something is left at a target', { target: target.name, left });
    if (clock.now() + WAIT_MS > giveUpAt) return `Of the target ${target.name} something may be left: ${left}`;
    await clock.sleep(WAIT_MS);
  }
};

const removeOnce = async (target: ConfiguredTarget): Promise<string | undefined> => {
  const provider = await target.load();
  const held: HeldRun[] = [];
  for await (const run of provider.held?.() ?? []) held.push(run);
  const canceled = await Promise.allSettled(held.map((run) => provider.cancel(run)));
  const refused = canceled.find(({ status }) => status === 'rejected');
  if (refused) throw (refused as PromiseRejectedResult).reason;
  // Asked for only: the next round sees whether they are gone, and what they were made of goes last.
  if (held.length > 0) return `${held.length} runs that were asked to end`;
  await provider.remove?.();
  return undefined;
};
