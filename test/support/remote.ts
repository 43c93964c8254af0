import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import {
  type EndHead,
  EndHeadSchema,
  type OutputHead,
  OutputHeadSchema,
  RedeemStart,
} from '../../shared/contract/runner.ts';
import type { SignalName } from '../../shared/domain/command.ts';
import { type AttemptKey, splitAttemptKey } from '../../shared/domain/ids.ts';
import type { StreamName } from '../../shared/domain/output.ts';
import { toRunnerToken } from '../../shared/domain/runner-token.ts';
import type { Provider, Run, RunIo, StartOutcome } from '../../shared/providers/provider.ts';
import { decodeFramed } from '../../shared/runner/framed.ts';
import { listenLocally } from './listen-locally.ts';

interface Remote {
  readonly url: string;
  /** The provider as if its runs were carried by this process: detached ones are waited for. */
  wrap(provider: Provider): Provider;
  close(): Promise<void>;
}

/** A run whose runner is elsewhere, as the control plane of the contract suite knows it. */
interface Expected {
  readonly run: Run;
  readonly io: RunIo;
  readonly signals: SignalName[];
  readonly stdin: AsyncIterator<Uint8Array> | undefined;
  /** The parts of the input so far, by the bytes before them. */
  readonly parts: Map<number, Promise<IteratorResult<Uint8Array>>>;
  runner?: string;
  /** What was taken of its output, by whichever way it came. */
  readonly stored: { stdoutBytes: number; stderrBytes: number };
  /** Nobody waits for it any more. */
  over?: boolean;
  readonly settle: (outcome: StartOutcome) => void;
}

const LOOK_EVERY_SECONDS = 0.2;
const POLL_MS = 100;

/**
 * A control plane that speaks the runners' protocol over HTTP, with a test's RunIo in the place of the store: so that
 * the one contract suite runs on providers whose runner is elsewhere.
 */
export const openRemote = async (): Promise<Remote> => {
  const expected = new Map<string, Expected>();
  const refs = new Map<AttemptKey, string>();
  const server = createServer((request, response) => {
    answer(expected, request, response).catch(() => response.writeHead(500).end());
  });
  const { url, close } = await listenLocally(server);

  const startDetached = async (provider: Provider, run: Run, io: RunIo): Promise<StartOutcome> => {
    const { promise, resolve } = Promise.withResolvers<StartOutcome>();
    const { tenant, key } = run;
    const right = { tenant, ...splitAttemptKey(key) };
    const token = toRunnerToken({ ...right, ticket: randomBytes(16).toString('hex') });
    const one: Expected = {
      run,
      io,
      signals: [],
      stdin: io.stdin?.[Symbol.asyncIterator](),
      parts: new Map(),
      stored: { stdoutBytes: 0, stderrBytes: 0 },
      settle: resolve,
    };
    io.onSignal((signal) => one.signals.push(signal));
    expected.set(token, one);
    const output: RunIo['output'] = (stream, bytes) => take(one, stream, bytes);
    const outcome = await provider.start({ ...run, token }, { ...io, output });
    if (outcome.kind !== 'accepted') {
      one.over = true;
      return outcome;
    }
    if (outcome.ref !== undefined) refs.set(key, outcome.ref);
    let over = false;
    const named = { ...run, ...(outcome.ref === undefined ? {} : { ref: outcome.ref }) };
    void promise.then(async () => {
      over = true;
      // As the engine does, once the end is stored.
      if (provider.features.leavesBehind) await provider.cancel(named).catch(() => {});
    });
    void (async () => {
      while (!over) {
        await new Promise((wake) => setTimeout(wake, POLL_MS));
        const observed = await provider.observe(named).catch(() => ({ kind: 'alive' }) as const);
        if (observed.kind === 'failed') {
          resolve({ kind: 'rejected', fault: { detail: observed.detail, retryable: false } });
        } else if (observed.kind === 'gone') {
          // What it said last may still be on its way through this process.
          await new Promise((wake) => setTimeout(wake, POLL_MS));
          if (observed.exit && one.runner) resolve({ kind: 'ended', exit: observed.exit });
          else resolve(one.runner ? { kind: 'lost', detail: observed.detail ?? '' } : { kind: 'refused' });
        }
      }
    })();
    return promise;
  };

  return {
    url,
    wrap: (provider) => ({
      ...provider,
      start: (run, io) => startDetached(provider, run, io),
      observe: (run) => provider.observe(withRef(run, refs)),
      cancel: (run) => provider.cancel(withRef(run, refs)),
    }),
    close,
  };
};

const withRef = <R extends { key: AttemptKey; ref?: string }>(run: R, refs: Map<AttemptKey, string>): R => {
  const ref = run.ref ?? refs.get(run.key);
  return ref === undefined ? run : { ...run, ref };
};

const answer = async (
  expected: Map<string, Expected>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const one = expected.get(/^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '');
  const body = await buffer(request);
  if (!one) return void response.writeHead(401).end();
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost');
  const json = (value: unknown) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  switch (`${request.method} ${pathname}`) {
    case 'POST /runner/v1/redeem': {
      const order = await redeem(one, RedeemStart.parse(JSON.parse(body.toString())).runner);
      return void (order ? json(order) : response.writeHead(409).end());
    }
    case 'POST /runner/v1/look':
      return void json({
        stop: one.io.stop.aborted || one.over === true,
        over: one.over === true,
        signals: one.signals,
        ...(searchParams.has('stored') ? { stored: one.stored } : {}),
      });
    case 'GET /runner/v1/stdin': {
      const { bytes, ended } = await readInput(one, Number(searchParams.get('from')));
      return void response.writeHead(200, { 'errand-input-ended': String(ended) }).end(bytes);
    }
    case 'POST /runner/v1/output': {
      const { head, bytes } = decodeFramed(body) ?? { head: undefined, bytes: body };
      await takeOutput(one, OutputHeadSchema.parse(head), bytes);
      return void response.writeHead(204).end();
    }
    case 'POST /runner/v1/end': {
      const { head, bytes } = decodeFramed(body) ?? { head: undefined, bytes: body };
      const end = EndHeadSchema.parse(head);
      if (end.kind !== 'rejected' && end.chunk) await takeOutput(one, end.chunk, bytes);
      response.writeHead(204).end();
      return one.settle(toOutcome(end));
    }
    default:
      return void response.writeHead(404).end();
  }
};

const redeem = async (one: Expected, runner: string): Promise<object | undefined> => {
  if (one.runner !== undefined && one.runner !== runner) return undefined;
  const first = one.runner === undefined;
  one.runner = runner;
  if (first && (one.io.stop.aborted || !(await one.io.redeem()))) {
    one.settle({ kind: 'refused' });
    return undefined;
  }
  const { argv, env, cwd, timeoutSeconds } = one.run;
  const stdin = one.stdin ? 'open' : 'none';
  return { argv, env, cwd, timeoutSeconds, stdin, lookEverySeconds: LOOK_EVERY_SECONDS, keepBytes: 2 ** 40 };
};

const readInput = async (one: Expected, from: number): Promise<{ bytes: Uint8Array; ended: boolean }> => {
  if (!one.stdin) return { bytes: new Uint8Array(), ended: true };
  if (!one.parts.has(from)) one.parts.set(from, one.stdin.next());
  const part = await one.parts.get(from);
  return part?.done
    ? { bytes: new Uint8Array(), ended: true }
    : { bytes: part?.value ?? new Uint8Array(), ended: false };
};

const take = async ({ io, stored }: Expected, stream: StreamName, bytes: Uint8Array): Promise<void> => {
  await io.output(stream, bytes);
  stored[`${stream}Bytes`] += bytes.length;
};

const takeOutput = async (one: Expected, { segments }: OutputHead, bytes: Uint8Array): Promise<void> => {
  let at = 0;
  for (const { stream, length } of segments) {
    await take(one, stream, bytes.subarray(at, at + length));
    at += length;
  }
};

const toOutcome = (end: EndHead): StartOutcome => {
  if (end.kind === 'ended') return { kind: 'ended', exit: end.exit };
  if (end.kind === 'lost') return { kind: 'lost', detail: end.detail };
  return { kind: 'rejected', fault: { detail: end.detail, retryable: end.retryable } };
};
