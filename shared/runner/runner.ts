import type { EndHead, RunnerOutlook, StartOrder } from '../contract/runner.ts';
import type { Clock } from '../domain/clock.ts';
import type { SignalName } from '../domain/command.ts';
import { attemptKeyOf } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import type { OutputTotals } from '../domain/output.ts';
import { parseRunnerToken } from '../domain/runner-token.ts';
import type { Provider, Run, RunIo, StartOutcome } from '../providers/provider.ts';
import { runWithSecrets, type SecretValues } from '../secrets/secret-run.ts';
import { type Chunk, openOutputWriter } from '../store/output-writer.ts';
import type { Log } from '../telemetry/log.ts';
import type { Control } from './control.ts';

export interface RunnerOptions {
  readonly token: string;
  readonly control: Control;
  /** Executes the command on this machine. */
  readonly launcher: Provider;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborts when the provider is about to end this machine. */
  readonly evicted: AbortSignal;
}

/** Bytes wait so long for more: each request costs money. */
const COALESCE_MS = 200;
const CHUNK_BYTES = 512 * 1024;
const REST_BYTES = 64 * 1024;
/** Not within the first second, in which most commands end; then soon, since callers change their minds early. */
const FIRST_LOOK_MS = 1_500;
/** When the control plane does not say stop at the deadline, the runner does. */
const DEADLINE_GRACE_MS = 5_000;
/** What a control plane that is away for longer was not told yet, it is not told any more: the machine costs money. */
const LAST_PATIENCE_MS = 15 * 60_000;

/**
 * Carries one attempt through: redeems its ticket, executes, uploads what it writes, and reports its end.
 * Resolves when there is nothing more to say; never rejects for what the command or the network did.
 */
export const runAttemptHere = async (options: RunnerOptions): Promise<void> => {
  const { control, log } = options;
  try {
    const order = await control.redeem();
    if (order) await carryOut(options, order);
  } catch (error) {
    log.error('An attempt could not be carried through', { error });
  }
};

const carryOut = async (options: RunnerOptions, order: StartOrder): Promise<void> => {
  const { control, clock, log, evicted } = options;
  const watch = watchRun(options, order);
  const tooLate = new AbortController();
  const writer = openOutputWriter({
    clock,
    closing: AbortSignal.any([watch.over, tooLate.signal]),
    coalesceMs: COALESCE_MS,
    chunkBytes: CHUNK_BYTES,
    restBytes: REST_BYTES,
    keepBytes: order.keepBytes,
    // What is refused stays refused: nobody wants this output any more.
    store: async ({ bytes, ...head }) => void (await control.store(head, bytes)),
  });
  const outcome = await launch(options, order, {
    ...watch.io,
    output: (stream, bytes) => writer.append(stream, bytes),
  });
  await watch.end();
  if (watch.over.aborted) return log.warn('Nobody waits for the end of this attempt');
  const finished = new AbortController();
  void clock.sleep(LAST_PATIENCE_MS, finished.signal).then(() => tooLate.abort());
  const { totals, rest } = await writer.finish().finally(() => finished.abort());
  const { head, bytes } = toEnd(outcome, totals, rest);
  const told = evicted.aborted ? withEviction(head) : head;
  if (!(await control.end(told, bytes))) log.warn('The end of this attempt was refused');
};

/** A status is the command's own word even then. */
const withEviction = (head: EndHead): EndHead =>
  head.kind === 'ended' && head.exit.exitCode === null ? { ...head, evicted: true } : head;

/** The run's `io`, without what becomes of its output. */
type WatchedIo = Omit<RunIo, 'output'>;

export interface WatchedRun {
  readonly io: WatchedIo;
  /** Aborts when nobody waits for the attempt: the control plane gave it up, or is away for too long after its time. */
  readonly over: AbortSignal;
  /** Ends the watch. */
  end(): Promise<void>;
}

/** How the launcher leaves a command whose ticket is redeemed already: with a word, whatever it is. */
export type LaunchOutcome = Exclude<StartOutcome, { kind: 'refused' | 'accepted' | 'unheard' }>;

/** Executes the command by the local launcher, on an order that is redeemed already. Its secrets are masked in all that it says. */
export const launch = async (
  { token, launcher, log }: Pick<RunnerOptions, 'token' | 'launcher' | 'log'>,
  order: StartOrder,
  io: RunIo,
): Promise<LaunchOutcome> => {
  try {
    const run = toRun(token, order);
    const secrets = secretsOf(order);
    const outcome = await (secrets ? runWithSecrets(launcher.start, run, io, secrets) : launcher.start(run, io));
    if (outcome.kind === 'ended' || outcome.kind === 'rejected' || outcome.kind === 'lost') return outcome;
    return { kind: 'ended', exit: { exitCode: null, signal: null, detail: 'It was stopped before it was executed.' } };
  } catch (error) {
    log.error('The launcher failed', { error });
    return { kind: 'lost', detail: 'The runner failed in a way that leaves the outcome unknown.' };
  }
};

const secretsOf = ({ secrets }: StartOrder): SecretValues | undefined =>
  secrets && Object.fromEntries(Object.entries(secrets).map(([name, base64]) => [name, Buffer.from(base64, 'base64')]));

const toRun = (token: string, order: StartOrder): Run => {
  const right = parseRunnerToken(token);
  if (!right) throw new TypeError('Not a runner token');
  return {
    key: attemptKeyOf(right.id, right.attempt),
    tenant: right.tenant,
    worker: 'runner',
    token: '',
    argv: order.argv,
    env: order.env,
    ...(order.cwd === undefined ? {} : { cwd: order.cwd }),
    isolation: 'none',
    timeoutSeconds: order.timeoutSeconds,
  };
};

/** Looks at the record from time to time while the command lives: stop, signals, sign of life. */
export const watchRun = (
  { control, clock, log, evicted }: Pick<RunnerOptions, 'control' | 'clock' | 'log' | 'evicted'>,
  order: StartOrder,
): WatchedRun => {
  const stop = new AbortController();
  const ended = new AbortController();
  const deadlineAt = clock.now() + order.timeoutSeconds * 1_000;
  let deliver: ((signal: SignalName) => void) | undefined;
  let signalsDelivered = 0;
  const over = new AbortController();
  /** Aborted, it ends the wait for the next look. */
  let waiting = new AbortController();

  const obey = (outlook: RunnerOutlook): void => {
    if (outlook.over) over.abort();
    if (outlook.stop || outlook.over) stop.abort();
    for (const signal of outlook.signals.slice(signalsDelivered)) deliver?.(signal);
    if (deliver) signalsDelivered = outlook.signals.length;
  };

  const look = async (): Promise<void> => {
    try {
      obey(await control.look());
    } catch (error) {
      log.warn('A look at the record failed', { error });
      if (clock.now() >= deadlineAt + LAST_PATIENCE_MS) over.abort();
    }
    if (clock.now() >= deadlineAt + DEADLINE_GRACE_MS) stop.abort();
  };

  const watch = async (): Promise<void> => {
    const wake = () => waiting.abort();
    ended.signal.addEventListener('abort', wake, { once: true });
    for (
      let everyMs = FIRST_LOOK_MS;
      !ended.signal.aborted;
      everyMs = Math.min(everyMs * 1.5, order.lookEverySeconds * 1_000)
    ) {
      waiting = new AbortController();
      const untilDeadline = deadlineAt - clock.now();
      const waitMs = stop.signal.aborted || untilDeadline <= 0 ? everyMs : Math.min(everyMs, untilDeadline);
      await clock.sleep(waitMs, waiting.signal);
      if (!ended.signal.aborted) await look();
    }
  };
  const watching = watch();
  // At once, and without a word from the control plane: a machine that is told to end has seconds.
  const evict = () => stop.abort();
  evicted.addEventListener('abort', evict, { once: true });
  if (evicted.aborted) evict();

  return {
    io: {
      // Redeemed already: what to execute is only told to the one who did.
      redeem: async () => true,
      redeemedElsewhere: async () => {},
      stdin: stdinOf(control, order, ended.signal),
      stop: stop.signal,
      onSignal(callback) {
        deliver = callback;
      },
    },
    over: over.signal,
    async end() {
      ended.abort();
      evicted.removeEventListener('abort', evict);
      await watching;
    },
  };
};

const stdinOf = (control: Control, { stdin }: StartOrder, ended: AbortSignal): RunIo['stdin'] => {
  if (stdin === 'none') return undefined;
  if (stdin === 'open') return untilAborted(control.stdin(ended), ended);
  const { base64 } = stdin;
  return (async function* () {
    yield Buffer.from(base64, 'base64');
  })();
};

/** The end of the command is the end of its input, not a fault. */
async function* untilAborted(parts: AsyncIterable<Uint8Array>, ended: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* parts;
  } catch (error) {
    if (!ended.aborted) throw error;
  }
}

/** The end as it is reported, with the bytes of the rest of its output. */
export const toEnd = (
  outcome: LaunchOutcome,
  output: OutputTotals,
  rest: Chunk | undefined,
): { readonly head: EndHead; readonly bytes: Uint8Array } => {
  const { bytes = new Uint8Array(), ...chunk } = rest ?? {};
  const written = { output, ...(rest ? { chunk: chunk as Omit<Chunk, 'bytes'> } : {}) };
  switch (outcome.kind) {
    case 'rejected': {
      const { detail, retryable } = outcome.fault;
      return { head: { kind: 'rejected', detail: cut(detail), retryable }, bytes: new Uint8Array() };
    }
    case 'ended': {
      const { detail, ...exit } = outcome.exit;
      const told = detail === undefined ? exit : { ...exit, detail: cut(detail) };
      return { head: { kind: 'ended', exit: told, ...written }, bytes };
    }
    case 'lost':
      return { head: { kind: 'lost', detail: cut(outcome.detail), ...written }, bytes };
  }
};

/** It may quote a path or a program, however long. An end that is refused for it would be lost. */
const cut = (detail: string): string => detail.slice(0, LIMITS.detailCharacters).toWellFormed();
