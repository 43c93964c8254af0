import type { ProviderContext } from '../context.ts';
import type { ProviderFault, Run, StartOutcome } from '../provider.ts';
import type { DockerConfig } from './config.ts';
import { containerNameOf, LABEL, shapeFault, toContainer } from './containers.ts';
import type { Daemon } from './daemon.ts';
import { isNotFound, toFault } from './faults.ts';
import { type Images, isAllowed } from './images.ts';

/** What runs are carried with. */
export interface Parts {
  readonly daemon: Daemon;
  readonly images: Images;
  readonly config: DockerConfig;
  readonly context: ProviderContext;
  /** Aborts when this process is about to end. */
  readonly closing: AbortSignal;
}

const START_ID_BYTES = 8;

/**
 * Makes the container of a run, and starts nothing.
 * @returns its id, or the outcome of the start when there is none
 */
export const makeContainer = async (
  parts: Parts,
  run: Run,
  { stdin }: { readonly stdin: boolean },
): Promise<{ readonly id: string } | StartOutcome> => {
  const { daemon, images, config, context } = parts;
  const image = run.image ?? config.image;
  if (!isAllowed(config, image)) return refusal(`The target allows no image ${image}.`);
  const fault = shapeFault(config, run) ?? (config.pull === 'always' ? await images.pull(image) : undefined);
  if (fault !== undefined) return typeof fault === 'string' ? refusal(fault) : { kind: 'rejected', fault };
  const startId = context.random.hex(START_ID_BYTES);
  for (let isPulled = config.pull !== 'missing'; ; isPulled = true) {
    try {
      const isPodman = await daemon.isPodman();
      const container = toContainer(config, context, run, { startId, stdin, isPodman });
      return { id: await daemon.create(containerNameOf(run.key), container) };
    } catch (error) {
      if (!isNotFound(error)) return findMade(parts, run, { startId, error });
      if (isPulled) return refusal(toFault(error)?.detail ?? '');
    }
    const unpulled = await images.pull(image);
    if (unpulled) return { kind: 'rejected', fault: unpulled };
  }
};

/** An answer may have been lost, and an error's status is not always what happened: the name tells. */
const findMade = async (
  { daemon }: Parts,
  run: Run,
  { startId, error }: { readonly startId: string; readonly error: unknown },
): Promise<{ readonly id: string } | StartOutcome> => {
  const fault = toFault(error) ?? { detail: 'The Docker daemon does not answer.', retryable: true };
  try {
    const found = await daemon.inspect(containerNameOf(run.key));
    // Should it be made after this, nobody starts it, and the search for what is left over removes it.
    if (!found) return IN_USE.test(fault.detail) ? { kind: 'refused' } : { kind: 'rejected', fault };
    return found.labels[LABEL.start] === startId ? { id: found.id } : { kind: 'refused' };
  } catch {
    return { kind: 'rejected', fault };
  }
};

/** By another start of the same attempt, which is not done with it yet. The statuses differ. */
const IN_USE = /already in use/;

const refusal = (detail: string): StartOutcome => ({ kind: 'rejected', fault: { detail, retryable: false } });

/** @returns why nothing was executed; `lost` when that is not sure; undefined when it was */
export const startContainer = async (
  { daemon, context: { clock } }: Parts,
  id: string,
): Promise<'lost' | ProviderFault | undefined> => {
  let error: unknown;
  try {
    await daemon.start(id);
    return undefined;
  } catch (thrown) {
    error = thrown;
  }
  const fault = toFault(error);
  // Asked again it could run twice, if it has ended by then: so it is only looked at.
  for (let looks = 1; looks <= START_LOOKS; looks++) {
    const seen = await daemon.inspect(id).catch(() => 'unanswered' as const);
    if (seen !== 'unanswered') {
      if (seen?.hasStarted) return undefined;
      // Without an answer the start may still be under way.
      if (fault) return fault;
      if (!seen) return 'lost';
    }
    await clock.sleep(START_LOOK_MS);
  }
  return fault && error !== undefined && isUnreached(error) ? fault : 'lost';
};

const START_LOOKS = 5;
const START_LOOK_MS = 1_000;

const isUnreached = (error: unknown): boolean => (error as { statusCode?: number }).statusCode === undefined;
