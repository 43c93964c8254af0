import type { Clock } from '../../domain/clock.ts';
import type { Calls } from '../calls.ts';
import type { ProviderFault } from '../provider.ts';
import type { Clients } from './calls.ts';
import { CODE, codeOf, plainMessage, toFault } from './faults.ts';
import type { NamedJob } from './jobs.ts';
import { isNeverToStart } from './observed.ts';

/** A job is ready seconds after it was made. */
const READY_PATIENCE_MS = 40_000;
const LOOK_EVERY_MS = 500;
/** Someone may have removed it by then. */
const REMEMBER_MS = 10 * 60_000;
/** As many jobs as a project may have. */
const MOST_REMEMBERED = 1_000;

export interface ReadyJobs {
  /** Makes the job unless it is there, and waits until it can be run. Undefined when it can; otherwise why not. */
  ensure(name: string, job: NamedJob): Promise<ProviderFault | undefined>;
  /** It is not there any more. */
  forget(name: string): void;
}

export const makeReadyJobs = (
  { jobs }: Clients,
  { once, repeatable }: Calls,
  { clock, parent }: { readonly clock: Clock; readonly parent: string },
): ReadyJobs => {
  const readyUntil = new Map<string, number>();
  const making = new Map<string, Promise<ProviderFault | undefined>>();

  const find = async (name: string) => {
    try {
      const [job] = await repeatable((options) => jobs.getJob({ name }, options));
      return job;
    } catch (error) {
      if (codeOf(error) === CODE.notFound) return undefined;
      throw error;
    }
  };

  /** Its name is ours, so that a second making is the first: of another process, or after an answer that was lost. */
  const create = async ({ id, job }: NamedJob): Promise<ProviderFault | undefined> => {
    try {
      await repeatable((options) => jobs.createJob({ parent, jobId: id, job }, options));
      return undefined;
    } catch (error) {
      return codeOf(error) === CODE.alreadyExists ? undefined : toFault(error);
    }
  };

  const makeReady = async (name: string, named: NamedJob): Promise<ProviderFault | undefined> => {
    const giveUpAt = clock.now() + READY_PATIENCE_MS;
    let job = await find(name);
    if (!job) {
      const fault = await create(named);
      if (fault) return fault;
    }
    for (; clock.now() < giveUpAt; await clock.sleep(LOOK_EVERY_MS)) {
      job = await find(name);
      const { state, reason, message } = job?.terminalCondition ?? {};
      if (!job || job.reconciling) continue;
      if (state === 'CONDITION_SUCCEEDED') return undefined;
      if (state !== 'CONDITION_FAILED') continue;
      // It stays as it is. With it gone, the next start looks for the image anew.
      await once((options) => jobs.deleteJob({ name }, options)).catch(() => {});
      const image = named.job.template?.template?.containers?.[0]?.image;
      const why = plainMessage(message || reason || 'it gives no reason');
      return { detail: `Cloud Run cannot run the image ${image}: ${why}`, retryable: !isNeverToStart(reason) };
    }
    return { detail: 'A new Cloud Run job was not ready in time. It is tried again.', retryable: true };
  };

  const remember = (name: string): void => {
    if (readyUntil.size >= MOST_REMEMBERED) readyUntil.clear();
    readyUntil.set(name, clock.now() + REMEMBER_MS);
  };

  return {
    async ensure(name, job) {
      if ((readyUntil.get(name) ?? 0) > clock.now()) return undefined;
      let ready = making.get(name);
      if (!ready) {
        ready = makeReady(name, job)
          .catch((error: unknown) => toFault(error) ?? { detail: UNANSWERED, retryable: true })
          .finally(() => making.delete(name));
        making.set(name, ready);
      }
      const fault = await ready;
      if (!fault) remember(name);
      return fault;
    },
    forget: (name) => void readyUntil.delete(name),
  };
};

const UNANSWERED = 'Cloud Run does not answer, or fails. It is tried again.';
