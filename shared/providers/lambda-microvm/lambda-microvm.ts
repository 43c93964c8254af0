import {
  GetMicrovmCommand,
  ListMicrovmsCommand,
  RunMicrovmCommand,
  TerminateMicrovmCommand,
} from '@aws-sdk/client-lambda-microvms';
import type { AttemptKey } from '../../domain/ids.ts';
import type { ProviderContext } from '../context.ts';
import type { Observed, Provider, Run, StartOutcome } from '../provider.ts';
import { makeCalls, makeClient } from './calls.ts';
import { type LambdaMicrovmConfig, lambdaMicrovmFeatures } from './config.ts';
import { isNotFound, mayBeOver, toFault, toWords } from './faults.ts';
import { toRequest } from './microvms.ts';
import { isEnding, toObserved } from './observed.ts';

/**
 * Runs commands as AWS Lambda MicroVMs, one for each attempt, for up to eight hours. A machine is told where its runner
 * reports, and nothing of the command.
 *
 * There is no `held`: a MicroVM carries nothing by which its run could be told. It has no tags, neither its client token
 * nor its payload is ever shown again, and that it runs our image does not make it ours. So a run is known by its id, which
 * an accepted start brings; a start whose answer is lost is repeated with its client token, which brings it too; and one
 * that is lost after all ends with its `maximumDurationInSeconds`, minutes after the time-out of its command.
 */
export const lambdaMicrovm = async (config: LambdaMicrovmConfig, context: ProviderContext): Promise<Provider> => {
  const { log } = context;
  const client = makeClient(config);
  const calls = makeCalls(context);
  const starting = new Map<AttemptKey, Promise<StartOutcome>>();
  let closed = false;

  const start = async (run: Run): Promise<StartOutcome> => {
    const request = toRequest(config, context, run);
    if ('fault' in request) return rejected(request.fault, false);
    let isUnclear = false;
    try {
      const { microvmId } = await calls.repeatable(
        (options) => client.send(new RunMicrovmCommand(request), options),
        () => (isUnclear = true),
      );
      return accepted(microvmId);
    } catch (error) {
      const fault = isUnclear ? undefined : toFault(error);
      if (fault) return { kind: 'rejected', fault };
      log.warn('Whether a MicroVM was run is not clear', { attempt: run.key, error: nameOf(error) });
    }
    // If it is there, its runner redeems the ticket; if it is not, nobody does, and the engine gives the start up in the same
    // write that makes the ticket void. `rejected` would start another beside one that may live.
    return accepted(undefined);
  };

  const find = async (microvmIdentifier: string) => {
    try {
      return await calls.repeatable((options) => client.send(new GetMicrovmCommand({ microvmIdentifier }), options));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw new Error(toWords(error), { cause: error });
    }
  };

  return {
    name: 'lambda-microvm',
    features: lambdaMicrovmFeatures(config),

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
     * Without its id a run cannot be found, and counts as gone: a runner that lived would have been heard of, since nobody
     * asks here before it has been silent for a whole lease, and should it be alive after all, its next look tells it that
     * the attempt is over.
     */
    async observe({ ref }): Promise<Observed> {
      if (ref === undefined) return { kind: 'gone', detail: 'Lambda did not say whether it ran a MicroVM.' };
      const microvm = await find(ref);
      return microvm ? toObserved(microvm) : { kind: 'gone', detail: 'Lambda has no such MicroVM any more.' };
    },

    /** The `/terminate` hook comes first, in which the keeper has the runner end its command and report. */
    async cancel({ ref: microvmIdentifier }) {
      if (microvmIdentifier === undefined) return;
      try {
        await calls.repeatable((options) => client.send(new TerminateMicrovmCommand({ microvmIdentifier }), options));
      } catch (error) {
        if (isNotFound(error)) return;
        if (mayBeOver(error)) {
          const microvm = await find(microvmIdentifier);
          if (!microvm || isEnding(microvm)) return;
        }
        throw new Error(toWords(error), { cause: error });
      }
    },

    async health() {
      if (closed) return { healthy: false, detail: 'Shutting down.' };
      try {
        const request = { imageIdentifier: config.image, maxResults: 1 };
        await calls.once((options) => client.send(new ListMicrovmsCommand(request), options));
        return { healthy: true };
      } catch (error) {
        return { healthy: false, detail: toWords(error) };
      }
    },

    /** Machines go on without this process. */
    async close() {
      closed = true;
      await Promise.allSettled(starting.values());
      client.destroy();
    },
  };
};

const accepted = (ref: string | undefined): StartOutcome => (ref ? { kind: 'accepted', ref } : { kind: 'accepted' });

const rejected = (detail: string, retryable: boolean): StartOutcome => ({
  kind: 'rejected',
  fault: { detail, retryable },
});

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : 'unknown');
