import type { IncomingMessage, RequestListener } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type { Clock } from '../../shared/domain/clock.ts';
import { MOST_PAYLOAD_CHARACTERS, RunPayload } from '../../shared/providers/lambda-microvm/run-payload.ts';
import type { Log } from '../../shared/telemetry/log.ts';

/** How a runner's process ended. */
export interface RunnerEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

/** A runner's process. */
export interface StartedRunner {
  readonly ended: Promise<RunnerEnd>;
  /** Asks it to stop its command, report and leave. */
  stop(): void;
}

export interface KeeperOptions {
  /** Rejects when it cannot be started. */
  readonly startRunner: (payload: RunPayload) => Promise<StartedRunner>;
  /** Tells the control plane that the runner is gone, for when that had no time to. */
  readonly tellLost: (payload: RunPayload, detail: string) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Keeper {
  /** Answers Lambda's lifecycle hooks. */
  readonly listener: RequestListener;
  /** Has the runner leave, if there is one. */
  end(): Promise<void>;
}

/** Where Lambda posts its hooks, in every MicroVM. */
const HOOKS = '/aws/lambda-microvms/runtime/v1/';
/** Within what the image gives the `/terminate` hook (infra/microvm-image/register.sh). */
const LEAVE_MS = 25_000;
/** The payload in its envelope, escaped, with room to spare. */
const MOST_BODY_BYTES = 4 * MOST_PAYLOAD_CHARACTERS;

/**
 * The first process of a MicroVM. It is part of the memory that every MicroVM of its image wakes up with, so it holds
 * nothing that must be one machine's own: the runner, with all that is drawn at random, is a process that it starts only
 * when the `/run` hook tells for which attempt. It stays after the runner, since a machine that Lambda cannot tell of its
 * end takes longer to end; and it speaks for a runner that died without a word, which nobody else would see.
 */
export const makeKeeper = ({ startRunner, tellLost, clock, log }: KeeperOptions): Keeper => {
  let given: { readonly text: string; readonly runner: Promise<StartedRunner> } | undefined;
  let leaving: Promise<unknown> | undefined;

  const watch = async (payload: RunPayload, runner: StartedRunner): Promise<void> => {
    const { exitCode, signal } = await runner.ended;
    // By itself it always ends with 0, whatever it had to say.
    if (exitCode === 0) return log.info('The runner left');
    log.error('The runner died', { exitCode, signal });
    const want = signal === 'SIGKILL' ? ', perhaps for want of memory' : '';
    await tellLost(payload, `The runner died (${signal ?? `status ${exitCode}`})${want}.`);
  };

  const run = async (body: string): Promise<number> => {
    const payload = payloadIn(body);
    if (!payload) return 400;
    const text = JSON.stringify(payload);
    // Lambda may tell again what it told. There is one run in a machine's life.
    if (given && given.text !== text) return 409;
    if (leaving) return 409;
    if (!given) {
      const runner = startRunner(payload);
      given = { text, runner };
      runner
        .then((started) => watch(payload, started))
        .catch((error: unknown) => log.error('The run is lost', { error }));
    }
    await given.runner;
    return 200;
  };

  const end = async (): Promise<void> => {
    const runner = await given?.runner.catch(() => undefined);
    if (!runner) return;
    runner.stop();
    const left = new AbortController();
    await Promise.race([runner.ended, clock.sleep(LEAVE_MS, left.signal)]);
    left.abort();
  };
  const endOnce = async (): Promise<void> => {
    leaving ??= end();
    await leaving;
  };

  const answer = async (request: IncomingMessage): Promise<number> => {
    const { method, url = '' } = request;
    if (method !== 'POST' || !url.startsWith(HOOKS)) return 404;
    switch (url.slice(HOOKS.length)) {
      case 'run':
        if (Number(request.headers['content-length'] ?? 0) > MOST_BODY_BYTES) return 413;
        return run((await buffer(request)).toString());
      case 'terminate':
        await endOnce();
        return 200;
      case 'ready':
      case 'validate':
      case 'suspend':
      case 'resume':
        return 200;
      default:
        return 404;
    }
  };

  return {
    listener(request, response) {
      void answer(request)
        .catch((error: unknown) => {
          log.error('A hook failed', { error });
          return 500;
        })
        .then((status) => response.writeHead(status).end());
    },
    end: endOnce,
  };
};

/** Lambda hands the payload over in an envelope, as it was seen to; its documentation says that it is the body itself. */
const payloadIn = (body: string): RunPayload | undefined => {
  const outer = parse(body);
  const { runHookPayload } = (outer ?? {}) as { readonly runHookPayload?: unknown };
  return RunPayload.safeParse(typeof runHookPayload === 'string' ? parse(runHookPayload) : outer).data;
};

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
