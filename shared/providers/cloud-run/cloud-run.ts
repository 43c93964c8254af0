import { ExecutionsClient, JobsClient, TasksClient } from '@google-cloud/run';
import type { ProviderContext } from '../context.ts';
import type { HeldRun, Observed, Provider, Run, RunName, StartOutcome } from '../provider.ts';
import { type CloudRunConfig, cloudRunFeatures } from './config.ts';
import { makeAuth } from './credentials.ts';
import { CODE, codeOf, plainMessage, toFault } from './faults.ts';
import { type Execution, heldRunOf, jobIdOf, type Shape, toJob, toOverrides, toShape } from './jobs.ts';
import { toObserved } from './observed.ts';

const CALL_MS = 15_000;
const READ_TRIES = 3;
const READ_WAIT_MS = 300;
/** A job is ready seconds after it was made. */
const READY_PATIENCE_MS = 30_000;
const READY_WAIT_MS = 500;
const PAGE = 100;
const MOST_PAGES = 10;

/**
 * Runs commands as executions of Cloud Run jobs: a job for each shape of machine, made when it is first needed, and an
 * execution for each attempt, told by overrides where its runner reports. Nothing of the command is in either.
 */
export const cloudRun = async (config: CloudRunConfig, context: ProviderContext): Promise<Provider> => {
  const { clock, log, installation } = context;
  const clients = makeClients(config, context);
  const parent = `projects/${config.project}/locations/${config.region}`;
  let closed = false;

  /** By itself the client waits for ever. */
  const bounded = async <T>(call: Promise<T>): Promise<T> => {
    const done = new AbortController();
    const late = clock.sleep(CALL_MS, done.signal).then(() => {
      if (!done.signal.aborted) throw new Error('Cloud Run did not answer in time.');
      return new Promise<never>(() => {});
    });
    try {
      return await Promise.race([call, late]);
    } finally {
      done.abort();
    }
  };

  /** The client retries nothing, not even reads. */
  const read = async <T>(call: () => Promise<T>): Promise<T> => {
    for (let tries = 1; ; tries++) {
      try {
        return await bounded(call());
      } catch (error) {
        const isAnswer = typeof codeOf(error) === 'number' && toFault(error)?.retryable === false;
        if (isAnswer || tries >= READ_TRIES) throw error;
      }
      await clock.sleep(READ_WAIT_MS * tries);
    }
  };

  const executions = async function* (job: string, pages: number): AsyncGenerator<Execution> {
    let pageToken: string | undefined;
    for (let page = 0; page < pages; page++) {
      const request = { parent: `${parent}/jobs/${job}`, pageSize: PAGE, ...(pageToken ? { pageToken } : {}) };
      // Not by itself: it would fetch every execution there is.
      const [found, , answer] = await read(() => clients.executions.listExecutions(request, { autoPaginate: false }));
      yield* found;
      pageToken = answer?.nextPageToken ?? undefined;
      if (!pageToken) return;
    }
  };

  const find = async ({ key, tenant }: RunName, job = '-'): Promise<string | undefined> => {
    for await (const execution of executions(job, MOST_PAGES)) {
      const held = heldRunOf(execution, installation);
      if (held?.key === key && held.tenant === tenant) return held.ref;
    }
    return undefined;
  };

  /** Makes the job of a shape. Of two that do at one time, one does. */
  const makeJob = async (jobId: string, shape: Shape): Promise<StartOutcome | undefined> => {
    try {
      await bounded(clients.jobs.createJob({ parent, jobId, job: toJob(config, installation, shape) }));
    } catch (error) {
      // Also after an answer that was lost: whether it is there is seen below.
      const fault = codeOf(error) === CODE.alreadyExists ? undefined : toFault(error);
      if (fault) return { kind: 'rejected', fault };
    }
    const name = `${parent}/jobs/${jobId}`;
    for (const giveUpAt = clock.now() + READY_PATIENCE_MS; clock.now() < giveUpAt; ) {
      const [job] = await read(() => clients.jobs.getJob({ name }));
      const state = String(job.terminalCondition?.state ?? '');
      if (!job.reconciling && state === 'CONDITION_SUCCEEDED') return undefined;
      if (!job.reconciling && state === 'CONDITION_FAILED') {
        // With it gone, the next try looks for the image again.
        await bounded(clients.jobs.deleteJob({ name })).catch(() => {});
        const why = plainMessage(job.terminalCondition?.message ?? 'no reason was given');
        return rejected(`Cloud Run cannot run the image ${shape.image}: ${why}`, false);
      }
      await clock.sleep(READY_WAIT_MS);
    }
    return rejected('The job was not ready in time. It is tried again.', true);
  };

  const execute = async (run: Run, jobId: string): Promise<StartOutcome | 'no-job'> => {
    try {
      const [operation] = await bounded(
        clients.jobs.runJob({ name: `${parent}/jobs/${jobId}`, overrides: toOverrides(run, context) }),
      );
      // Its promise would wait for the command to end.
      const { name } = (operation.metadata ?? {}) as { name?: string };
      return name ? { kind: 'accepted', ref: name } : { kind: 'accepted' };
    } catch (error) {
      // Not there, or just being made by another start of its shape.
      if (codeOf(error) === CODE.notFound || codeOf(error) === CODE.failedPrecondition) return 'no-job';
      const fault = toFault(error);
      if (fault) return { kind: 'rejected', fault };
      log.warn('Whether an execution was started is not clear', { attempt: run.key, code: codeOf(error) });
    }
    // It may be running: whoever looks finds it by its mark. Should it not be there, its ticket is never redeemed, and the
    // engine gives the start up and makes another; a second execution then finds the ticket void.
    const ref = await find(run, jobId).catch(() => undefined);
    return ref ? { kind: 'accepted', ref } : { kind: 'accepted' };
  };

  return {
    name: 'cloud-run',
    features: cloudRunFeatures(config),

    async start(run) {
      if (closed) return rejected('The server is shutting down.', true);
      const shape = toShape(config, run);
      if ('fault' in shape) return rejected(shape.fault, false);
      const jobId = jobIdOf(config, installation, shape);
      const outcome = await execute(run, jobId);
      if (outcome !== 'no-job') return outcome;
      try {
        const refusal = await makeJob(jobId, shape);
        if (refusal) return refusal;
      } catch (error) {
        return { kind: 'rejected', fault: toFault(error) ?? { detail: plainMessage(error), retryable: true } };
      }
      const again = await execute(run, jobId);
      return again === 'no-job' ? rejected('The job is not there yet. It is tried again.', true) : again;
    },

    async observe(run): Promise<Observed> {
      const name = run.ref ?? (await find(run));
      if (!name) return { kind: 'gone' };
      try {
        const [execution] = await read(() => clients.executions.getExecution({ name }));
        return await toObserved(execution, async () => {
          const request = { parent: name, pageSize: 1 };
          const [tasks] = await read(() => clients.tasks.listTasks(request, { autoPaginate: false }));
          return tasks[0];
        });
      } catch (error) {
        if (codeOf(error) === CODE.notFound) return { kind: 'gone' };
        throw error;
      }
    },

    async cancel(run) {
      const name = run.ref ?? (await find(run));
      if (!name) return;
      try {
        await bounded(clients.executions.cancelExecution({ name }));
      } catch (error) {
        // It has ended, or is not there any more.
        const fine: unknown[] = [CODE.notFound, CODE.failedPrecondition, CODE.invalidArgument];
        if (!fine.includes(codeOf(error))) throw error;
      }
    },

    async *held(): AsyncGenerator<HeldRun> {
      for await (const execution of executions('-', MOST_PAGES)) {
        const run = execution.completionTime ? undefined : heldRunOf(execution, installation);
        if (run) yield run;
      }
    },

    async health() {
      if (closed) return { healthy: false, detail: 'Shutting down.' };
      try {
        // One that is not there: the cheapest answer that only those get who may ask.
        await bounded(clients.jobs.getJob({ name: `${parent}/jobs/${installation}-health` }));
        return { healthy: true };
      } catch (error) {
        if (codeOf(error) === CODE.notFound) return { healthy: true };
        return { healthy: false, detail: toFault(error)?.detail ?? 'Cloud Run does not answer.' };
      }
    },

    async close() {
      closed = true;
      await Promise.all([clients.jobs.close(), clients.executions.close(), clients.tasks.close()]);
    },
  };
};

const rejected = (detail: string, retryable: boolean): StartOutcome => ({
  kind: 'rejected',
  fault: { detail, retryable },
});

const makeClients = (config: CloudRunConfig, context: ProviderContext) => {
  const at = config.endpoint === undefined ? undefined : new URL(config.endpoint);
  const options = {
    // Over REST: an HTTP/2 channel would be stale after each freeze of a function.
    fallback: true,
    auth: makeAuth(config, context) as never,
    ...(at ? { protocol: 'http', apiEndpoint: at.hostname, port: Number(at.port) } : {}),
  } as const;
  return {
    jobs: new JobsClient(options),
    executions: new ExecutionsClient(options),
    tasks: new TasksClient(options),
  };
};
