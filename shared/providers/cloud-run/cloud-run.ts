import type { AttemptKey } from '../../domain/ids.ts';
import type { ProviderContext } from '../context.ts';
import type { HeldRun, Observed, Provider, Run, RunName, StartOutcome } from '../provider.ts';
import { executionPages, makeClients, makeCloudRunCalls } from './calls.ts';
import { type CloudRunConfig, cloudRunFeatures } from './config.ts';
import { heldRunOf, isRun, toOverrides } from './executions.ts';
import { CODE, codeOf, toFault } from './faults.ts';
import { jobOf, toShape } from './jobs.ts';
import { toObserved } from './observed.ts';
import { bringRunner, removeJobs } from './preparation.ts';
import { makeReadyJobs } from './ready-jobs.ts';
import { shapeFault } from './resources.ts';

/** An execution that was just made is among the newest of its job. */
const MOST_PAGES_OF_A_JOB = 2;
/** More than may run at once in a project and region, 1,000, with as many that have just ended. */
const MOST_PAGES = 20;

/**
 * Runs commands as executions of Cloud Run jobs: a job for each shape of machine, made when it is first needed, and an
 * execution for each attempt, which is told where its runner reports. Nothing of the command is in either.
 */
export const cloudRun = async (config: CloudRunConfig, context: ProviderContext): Promise<Provider> => {
  const { log, installation, clock } = context;
  const features = cloudRunFeatures(config);
  const clients = makeClients(config, context);
  const calls = makeCloudRunCalls(context);
  const parent = `projects/${config.project}/locations/${config.region}`;
  const readyJobs = makeReadyJobs(clients, calls, { clock, parent });
  const starting = new Map<AttemptKey, Promise<StartOutcome>>();
  let closed = false;

  const find = async (run: RunName, job: string, mostPages: number): Promise<string | undefined> => {
    for await (const page of executionPages(clients, calls, { job, mostPages })) {
      const found = page.find((execution) => isRun(execution, installation, run))?.name;
      if (found) return found;
    }
    return undefined;
  };

  /** Beyond the newest pages it is not looked for: see `observe`. */
  const refOf = async (run: RunName): Promise<string | undefined> =>
    run.ref ?? (await find(run, `${parent}/jobs/-`, MOST_PAGES));

  /** `no-job`: since it was last seen ready it was removed, or is not ready any more. */
  const execute = async (run: Run, job: string): Promise<StartOutcome | 'no-job'> => {
    try {
      const request = { name: job, overrides: toOverrides(run, context) };
      const [operation] = await calls.once((options) => clients.jobs.runJob(request, options));
      // Its promise would wait for the command to end.
      return accepted((operation.metadata as { readonly name?: string } | null)?.name);
    } catch (error) {
      if (NO_JOB.includes(codeOf(error))) return 'no-job';
      const fault = toFault(error);
      if (fault) return { kind: 'rejected', fault };
      log.warn('Whether an execution was started is not clear', { attempt: run.key, job, code: codeOf(error) });
    }
    // A start has no key by which a second one would be the same, so none is tried. One look for what was made, and in any
    // case `accepted`: if it is there, its runner redeems the ticket; if it is not, nobody does, and the engine gives the
    // start up in the same write that makes the ticket void. `rejected` would start another beside one that may live.
    return accepted(await find(run, job, MOST_PAGES_OF_A_JOB).catch(() => undefined));
  };

  const start = async (run: Run): Promise<StartOutcome> => {
    const shape = toShape(config, run);
    const fault = shapeFault(shape) ?? timeoutFault(run.timeoutSeconds, features.longestTimeoutSeconds);
    if (fault !== undefined) return rejected(fault, false);
    const named = jobOf(config, installation, shape);
    const job = `${parent}/jobs/${named.id}`;
    for (let tries = 1; tries <= 2; tries++) {
      const unready = await readyJobs.ensure(job, named);
      if (unready) return { kind: 'rejected', fault: unready };
      const outcome = await execute(run, job);
      if (outcome !== 'no-job') return outcome;
      readyJobs.forget(job);
    }
    return rejected(`The Cloud Run job ${named.id} does not stay ready. Look at who changes or removes it.`, true);
  };

  return {
    name: 'cloud-run',
    features,

    async start(run) {
      if (closed) return rejected('The server is shutting down.', true);
      // A second start with the same key is the same run.
      const underWay = starting.get(run.key);
      if (underWay) return underWay;
      const started = start(run).finally(() => starting.delete(run.key));
      starting.set(run.key, started);
      return started;
    },

    /**
     * Without a name it is looked for among the newest executions of the project. Not found there it counts as gone: a
     * runner that lived would have been heard of, since nobody asks here before it has been silent for a whole lease, and
     * should it be alive after all, its next look tells it that the attempt is over.
     */
    async observe(run): Promise<Observed> {
      const name = await refOf(run);
      if (name === undefined) return { kind: 'gone', detail: 'Cloud Run has no execution of it.', unheard: true };
      try {
        const [execution] = await calls.repeatable((options) => clients.executions.getExecution({ name }, options));
        return await toObserved(execution, async () => {
          const request = { parent: name, pageSize: 1 };
          const once = { autoPaginate: false };
          const [tasks] = await calls.repeatable((options) =>
            clients.tasks.listTasks(request, { ...options, ...once }),
          );
          return tasks[0];
        });
      } catch (error) {
        if (codeOf(error) === CODE.notFound) return { kind: 'gone', detail: 'Cloud Run has removed its execution.' };
        throw new Error(toFault(error)?.detail ?? 'Cloud Run does not answer, or fails.', { cause: error });
      }
    },

    async cancel(run) {
      const name = await refOf(run);
      if (name === undefined) return;
      try {
        await calls.repeatable((options) => clients.executions.cancelExecution({ name }, options));
      } catch (error) {
        if (!OVER.includes(codeOf(error))) {
          throw new Error(toFault(error)?.detail ?? 'Cloud Run does not answer, or fails.', { cause: error });
        }
      }
    },

    /** By their marks alone: an execution of a job that is only named like ours is not ours. */
    async *held(): AsyncGenerator<HeldRun> {
      for await (const page of executionPages(clients, calls, { job: `${parent}/jobs/-`, mostPages: MOST_PAGES })) {
        for (const execution of page) {
          const run = execution.completionTime ? undefined : heldRunOf(execution, installation);
          if (run) yield run;
        }
      }
    },

    async health() {
      if (closed) return { healthy: false, detail: 'Shutting down.' };
      try {
        const once = { autoPaginate: false };
        await calls.once((options) => clients.jobs.listJobs({ parent, pageSize: 1 }, { ...options, ...once }));
        return { healthy: true };
      } catch (error) {
        return { healthy: false, detail: toFault(error)?.detail ?? 'Cloud Run does not answer, or fails.' };
      }
    },

    prepare: (parts) => bringRunner(config, context, parts),
    remove: () => removeJobs(clients, calls, { parent, installation }),

    /** Executions go on without this process. */
    async close() {
      closed = true;
      await Promise.allSettled(starting.values());
      await Promise.all([clients.jobs.close(), clients.executions.close(), clients.tasks.close()]);
    },
  };
};

const NO_JOB: readonly (number | undefined)[] = [CODE.notFound, CODE.failedPrecondition];
/** What a cancel of an execution that has ended, or that is gone, is answered with. */
const OVER: readonly (number | undefined)[] = [CODE.notFound, CODE.failedPrecondition, CODE.invalidArgument];

const timeoutFault = (asked: number, longest: number): string | undefined =>
  asked <= longest ? undefined : `A command may run ${longest} s at most on this target, not ${asked} s.`;

const accepted = (ref: string | undefined): StartOutcome => (ref ? { kind: 'accepted', ref } : { kind: 'accepted' });

const rejected = (detail: string, retryable: boolean): StartOutcome => ({
  kind: 'rejected',
  fault: { detail, retryable },
});
