import { InvokeWithResponseStreamCommand, LambdaClient } from '@aws-sdk/client-lambda';
import type { AttemptKey } from '../../domain/ids.ts';
import type { ProviderContext } from '../context.ts';
import type { Provider, Run, RunName, StartOutcome } from '../provider.ts';
import { type LambdaConfig, lambdaFeatures } from './config.ts';
import { toFault } from './faults.ts';
import type { Invocation } from './invocation.ts';
import { readResponse } from './read-response.ts';

/** A function that is not there refuses within milliseconds; a cold one begins to speak within seconds. */
const HEALTH_SECONDS = 10;
const CONNECT_MS = 2_000;
/** A stream is a connection of its own for as long as the command runs. */
const MOST_STREAMS = 2_048;
/** Beyond its time-out a command has its start, its end and the clean-up behind it. */
const MARGIN_SECONDS = 60;

/** A run that this process reads. */
interface ReadRun {
  readonly cut: AbortController;
  readonly end: Promise<unknown>;
}

/**
 * Runs commands in an executor function on AWS Lambda (functions/workers/execute.ts), which is invoked once for each
 * attempt and answers with a stream. Nothing of the command is in the request.
 */
export const lambda = async (config: LambdaConfig, context: ProviderContext): Promise<Provider> => {
  const { clock, log } = context;
  const features = lambdaFeatures(config);
  const client = makeClient(config);
  const runs = new Map<AttemptKey, ReadRun>();
  let closed = false;

  const invoke = async (
    run: Run,
    io: Parameters<Provider['start']>[1],
    cut: AbortController,
  ): Promise<StartOutcome> => {
    const payload: Invocation = { v: 1, url: context.runnerUrl, token: run.token };
    const command = new InvokeWithResponseStreamCommand({
      ...whichFunction(config),
      ...tenantOf(config, context, run),
      Payload: Buffer.from(JSON.stringify(payload)),
    });
    const began = new AbortController();
    const ended = new AbortController();
    void clock.sleep(features.startSeconds * 1_000, began.signal).then(() => {
      if (!began.signal.aborted) cut.abort();
    });
    // Bounds even a stream that goes on for ever, such as that of another function than ours.
    const patienceMs = (run.timeoutSeconds + features.startSeconds + MARGIN_SECONDS) * 1_000;
    void clock.sleep(patienceMs, ended.signal).then(() => cut.abort());
    try {
      // Comes with the first that the executor says.
      const answer = await client.send(command, { abortSignal: cut.signal });
      began.abort();
      return await readResponse(answer.EventStream ?? noEvents(), io, { clock, cut });
    } catch (error) {
      log.warn('A function was not invoked', { attempt: run.key, function: config.functionName, error: nameOf(error) });
      return toFault(error, config.functionName);
    } finally {
      began.abort();
      ended.abort();
    }
  };

  return {
    name: 'lambda',
    features,

    async start(run, io) {
      if (closed) return rejected('The server is shutting down.', true);
      // A second start with the same key is the same run.
      if (io.stop.aborted || runs.has(run.key)) return { kind: 'refused' };
      if (run.timeoutSeconds > features.longestTimeoutSeconds) {
        const most = `${features.longestTimeoutSeconds} s at most`;
        return rejected(`A command may run ${most} on this target, not ${run.timeoutSeconds} s.`, false);
      }
      const cut = new AbortController();
      const running = invoke(run, io, cut);
      runs.set(run.key, { cut, end: running });
      try {
        return await running;
      } finally {
        runs.delete(run.key);
      }
    },

    /**
     * Lambda cannot be asked for an invocation. While the executor lives it renews the lease by its looks, also when nobody
     * reads its stream, so that whoever asks here has heard of neither for a whole lease: it is gone, or it is cut off and its
     * result with it. Should it still be there, its next look tells it to stop, and its function's time-out ends it.
     */
    async observe({ key }) {
      return runs.has(key) ? { kind: 'alive' } : { kind: 'gone', detail: UNHEARD, unheard: true };
    },

    /** There is nothing to call: the executor sees by itself, within seconds, that it must stop. */
    async cancel() {},

    /** A dry run takes the same way and needs the same right as a start; it reads no quota of the control plane's 15 a second. */
    async health() {
      if (closed) return { healthy: false, detail: 'Shutting down.' };
      const done = new AbortController();
      const cut = new AbortController();
      void clock.sleep(HEALTH_SECONDS * 1_000, done.signal).then(() => cut.abort());
      try {
        const dryRun = new InvokeWithResponseStreamCommand({
          ...whichFunction(config),
          ...(config.tenantIsolation ? { TenantId: `${context.installation}/health` } : {}),
          InvocationType: 'DryRun',
        });
        await client.send(dryRun, { abortSignal: cut.signal });
        return { healthy: true };
      } catch (error) {
        const outcome = toFault(error, config.functionName);
        if (outcome.kind === 'rejected') return { healthy: false, detail: outcome.fault.detail };
        return { healthy: false, detail: 'Lambda does not answer.' };
      } finally {
        done.abort();
      }
    },

    /** The functions cannot be ended from here, and go on: their executors tell the rest by themselves. */
    async close() {
      closed = true;
      for (const { cut } of runs.values()) cut.abort();
      await Promise.all([...runs.values()].map(({ end }) => end));
      client.destroy();
    },
  };
};

const UNHEARD =
  'Neither the executor nor the one who read its response was heard of any more. Lambda keeps nothing of how it ended.';

/**
 * Keyless: in a function its role, elsewhere what the SDK finds. Never repeats a request: the default of three tries
 * runs a command up to three times when Lambda fails after it has invoked.
 */
const makeClient = ({ region, endpoint, functionTimeoutSeconds }: LambdaConfig): LambdaClient => {
  const agent = { keepAlive: true, maxSockets: MOST_STREAMS };
  return new LambdaClient({
    region,
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: (functionTimeoutSeconds + 30) * 1_000,
      // Otherwise it would only be logged.
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
    },
    ...(endpoint === undefined
      ? {}
      : { endpoint, credentials: { accessKeyId: 'local-trial', secretAccessKey: 'local-trial' } }),
  });
};

const whichFunction = ({ functionName, qualifier }: LambdaConfig) => ({
  FunctionName: functionName,
  ...(qualifier === undefined ? {} : { Qualifier: qualifier }),
});

/** By it Lambda keeps environments apart. Another installation's tenant of the same name is another tenant. */
const tenantOf = (
  { tenantIsolation, freshEnvironment }: LambdaConfig,
  { installation }: ProviderContext,
  { tenant, key }: RunName,
) => {
  if (!tenantIsolation) return {};
  const parts = freshEnvironment === 'command' ? [installation, tenant, key] : [installation, tenant];
  return { TenantId: parts.join('/') };
};

async function* noEvents(): AsyncGenerator<never> {}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : 'unknown');

const rejected = (detail: string, retryable: boolean): StartOutcome => ({
  kind: 'rejected',
  fault: { detail, retryable },
});
