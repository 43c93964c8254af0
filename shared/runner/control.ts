import type { EndHead, OutputHead, RunnerOutlook, StartOrder } from '../contract/runner.ts';
import type { Clock } from '../domain/clock.ts';
import { parseRunnerToken, TAKES_SECRETS } from '../domain/runner-token.ts';
import { encodeFramed } from './framed.ts';

export interface ControlOptions {
  /** Where the control plane listens to runners. */
  readonly url: string;
  readonly token: string;
  /** 32 random hex digits: who this runner is, among those that hold the same token. */
  readonly runner: string;
  readonly clock: Clock;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
}

/** The control plane, as the runner of one attempt sees it. Every call is repeated when its answer is lost. */
export interface Control {
  /** Redeems the start ticket; undefined when it is not to be had, so nothing may be executed. @throws Unreachable */
  redeem(): Promise<StartOrder | undefined>;
  /** Also the sign of life. `stored`: asks how much output is stored. @throws Unreachable */
  look(asked?: { readonly stored: boolean }): Promise<RunnerOutlook>;
  /** The command's open input, as it comes, until it ends or `signal` aborts. */
  stdin(signal: AbortSignal): AsyncGenerator<Uint8Array>;
  /** Stores a chunk of output. False when it is refused: nobody wants it, or it does not follow what is stored. @throws Unreachable */
  store(head: OutputHead, bytes: Uint8Array): Promise<boolean>;
  /** Reports the end. False when nobody waits for it. @throws Unreachable */
  end(head: EndHead, bytes: Uint8Array): Promise<boolean>;
}

/** The control plane could not be reached within the patience that the call deserves. */
class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

const REQUEST_MS = 30_000;
/** What the control plane itself says no with. Anything else comes from something between here and there. */
const REFUSALS: readonly number[] = [400, 401, 409, 413];
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;
/** A start is worth waiting for as long as the control plane waits for it. */
const REDEEM_PATIENCE_MS = 30_000;
/** The next look is another try. */
const LOOK_PATIENCE_MS = 5_000;
/** Output holds the command back meanwhile; whoever gives up here tries the same chunk again. */
const STORE_PATIENCE_MS = 30_000;
/** How the command ended is known to nobody else. */
const END_PATIENCE_MS = 15 * 60_000;

interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly json?: unknown;
  readonly bytes?: Uint8Array;
  readonly patienceMs: number;
  readonly signal?: AbortSignal;
}

export const makeControl = ({ url, token, runner, clock, fetch }: ControlOptions): Control => {
  // Checked here, since what refuses a header that it cannot send quotes it.
  if (!parseRunnerToken(token)) throw new TypeError('Not a runner token');
  const base = url.replace(/\/+$/, '');

  const once = async ({ method, path, json, bytes, patienceMs, signal }: Call): Promise<Response> => {
    const done = new AbortController();
    const cut = new AbortController();
    void clock.sleep(Math.min(REQUEST_MS, patienceMs), done.signal).then(() => cut.abort());
    try {
      const response = await fetch(`${base}/runner/v1/${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...(bytes === undefined ? {} : { 'content-type': 'application/octet-stream' }),
        },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
        ...(bytes === undefined ? {} : { body: bytes as Uint8Array<ArrayBuffer> }),
        signal: signal ? AbortSignal.any([signal, cut.signal]) : cut.signal,
        redirect: 'error',
      });
      // Read here, so that the time limit covers the body too.
      const body = await response.arrayBuffer();
      return new Response(response.status === 204 ? null : body, {
        status: response.status,
        headers: response.headers,
      });
    } finally {
      done.abort();
    }
  };

  /** The answer, also one that refuses; what may be otherwise a moment later is tried again. */
  const request = async (call: Call): Promise<Response> => {
    const giveUpAt = clock.now() + call.patienceMs;
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2)) {
      let fault: string;
      try {
        const response = await once(call);
        if (response.ok || REFUSALS.includes(response.status)) return response;
        fault = `It answered ${response.status}.`;
      } catch (error) {
        call.signal?.throwIfAborted();
        fault = error instanceof Error ? error.message : String(error);
      }
      if (clock.now() + waitMs > giveUpAt) throw new Unreachable(`The control plane cannot be reached. ${fault}`);
      await clock.sleep(waitMs, call.signal);
      call.signal?.throwIfAborted();
    }
  };

  return {
    async redeem() {
      const call = {
        method: 'POST',
        path: 'redeem',
        json: { runner, can: [TAKES_SECRETS] },
        patienceMs: REDEEM_PATIENCE_MS,
      } as const;
      const response = await request(call);
      return response.ok ? ((await response.json()) as StartOrder) : undefined;
    },

    async look({ stored } = { stored: false }) {
      const path = stored ? 'look?stored=true' : 'look';
      const response = await request({ method: 'POST', path, patienceMs: LOOK_PATIENCE_MS });
      if (response.ok) return (await response.json()) as RunnerOutlook;
      return { stop: true, over: true, signals: [] };
    },

    async *stdin(signal) {
      for (let from = 0; !signal.aborted; ) {
        const patience = { patienceMs: END_PATIENCE_MS, signal };
        const response = await request({ method: 'GET', path: `stdin?from=${from}`, ...patience });
        if (!response.ok) return;
        const bytes = new Uint8Array(await response.arrayBuffer());
        from += bytes.length;
        if (bytes.length > 0) yield bytes;
        if (response.headers.get('errand-input-ended') === 'true') return;
      }
    },

    async store(head, bytes) {
      const call = { method: 'POST', path: 'output', patienceMs: STORE_PATIENCE_MS } as const;
      return (await request({ ...call, bytes: encodeFramed(head, bytes) })).ok;
    },

    async end(head, bytes) {
      const call = { method: 'POST', path: 'end', patienceMs: END_PATIENCE_MS } as const;
      return (await request({ ...call, bytes: encodeFramed(head, bytes) })).ok;
    },
  };
};
