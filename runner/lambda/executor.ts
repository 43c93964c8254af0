import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { Clock } from '../../shared/domain/clock.ts';
import { Invocation } from '../../shared/providers/lambda/invocation.ts';
import type { LastRecord } from '../../shared/providers/lambda/stream-frames.ts';
import { local } from '../../shared/providers/local/local.ts';
import type { RunIo } from '../../shared/providers/provider.ts';
import { type Control, makeControl } from '../../shared/runner/control.ts';
import { type LaunchOutcome, launch, watchRun } from '../../shared/runner/runner.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { takeBaseline } from './baseline-sweep.ts';
import { cleanEnvironment } from './clean-environment.ts';
import { openDelivery } from './delivery.ts';
import { type InvocationResponse, openResponse } from './invocation-response.ts';

export interface ExecutorOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly fetch: typeof fetch;
  /** The one folder that can be written to. */
  readonly tmp: string;
  /**
   * Whether this machine is this function's alone, as Lambda's are. Only there may whatever was not there at first be
   * killed, and the folder be emptied; elsewhere an environment serves one command.
   */
  readonly ownsMachine: boolean;
  /** Ends this process, and so this environment. */
  readonly exit: () => void;
}

/** What Lambda tells of an invocation, as far as it is looked at. */
interface InvocationContext {
  getRemainingTimeInMillis(): number;
}

/** Before the function's own time-out: TERM, grace, KILL, the sweep, and the end brought home, if need be by requests. */
const GRACE_SECONDS = 2;
const DELIVERY_MS = 8_000;
const RESERVE_MS = GRACE_SECONDS * 1_000 + DELIVERY_MS;
/** What is not told by then is not told any more. */
const TOO_LATE_MS = 1_000;

/**
 * The runner as a Lambda function: each invocation carries one attempt. It redeems the start ticket, executes, says what
 * it sees on its response stream or, when nobody reads that, by the runner's protocol, and gives the environment back as it
 * found it, or ends it.
 * To be made when the environment starts: whatever comes later is a command's.
 */
export const makeExecutor = (options: ExecutorOptions) => {
  const { clock, log, tmp, ownsMachine, exit } = options;
  const baseline = ownsMachine ? takeBaseline((milliseconds) => clock.sleep(milliseconds)) : undefined;

  return async (event: unknown, stream: Writable, context: InvocationContext): Promise<void> => {
    const response = openResponse(stream, clock);
    const invocation = Invocation.safeParse(event);
    if (!invocation.success) {
      response.last(NOT_AN_INVOCATION);
      return response.close();
    }
    const over = new AbortController();
    void clock.sleep(context.getRemainingTimeInMillis() - TOO_LATE_MS, over.signal).then(() => over.abort());
    const tellEnd = await carry(options, invocation.data, response, { context, over: over.signal }).catch(
      (error: unknown): TellEnd => {
        log.error('The executor failed', { error });
        return async () => response.last(FAILED);
      },
    );
    // Before the last word: what a command left behind is gone when its end is told.
    const isClean = baseline !== undefined && (await cleanEnvironment({ baseline, tmp }));
    await tellEnd();
    over.abort();
    await response.close();
    if (isClean) return;
    if (ownsMachine) log.warn('The environment is ended, since something of a command is left in it');
    exit();
  };
};

const NOT_AN_INVOCATION: LastRecord = {
  kind: 'rejected',
  detail: 'The function was not invoked in the way that its executor understands. Deploy both of one version.',
  retryable: false,
};

const FAILED: LastRecord = {
  kind: 'lost',
  detail: 'The executor failed in a way that leaves the outcome unknown.',
};

/** Says how it ended, to whoever is there to hear it. */
type TellEnd = () => Promise<void>;

const carry = async (
  options: ExecutorOptions,
  { url, token }: Invocation,
  response: InvocationResponse,
  { context, over }: { readonly context: InvocationContext; readonly over: AbortSignal },
): Promise<TellEnd> => {
  const { clock, log, tmp } = options;
  const { control, controlClock } = makeOwnControl(options, { url, token }, over);
  // A launcher for each: what a command did to the last one's helper is no matter. It starts while the ticket is redeemed.
  const launcher = await local({
    workDirectory: join(tmp, 'errand'),
    isOwnerAlive: async () => true,
    helpers: 1,
    trySandbox: false,
    graceSeconds: GRACE_SECONDS,
    log,
  });
  try {
    const order = await control.redeem().catch((error: unknown) => error as Error);
    if (order === undefined) return async () => response.last({ kind: 'refused' });
    // Perhaps it was redeemed and the answer was lost. Only this invocation could have executed on it, and will not.
    if (order instanceof Error) return async () => response.last(UNREACHABLE);
    const deadline = new AbortController();
    void clock.sleep(context.getRemainingTimeInMillis() - RESERVE_MS, over).then(() => deadline.abort());
    const { keepBytes } = order;
    const delivery = openDelivery({ control, response, clock: controlClock, log, keepBytes, tooLate: over });
    // Should it have broken by now, whoever has output to say will find out.
    await response.say({ kind: 'started' }).catch(() => {});
    const watched = {
      control: { ...control, look: delivery.look },
      clock: controlClock,
      log,
      evicted: deadline.signal,
    };
    const watch = watchRun(watched, order);
    const io: RunIo = {
      ...watch.io,
      // At once, not by the next look: the control plane may be away just then.
      stop: AbortSignal.any([watch.io.stop, deadline.signal]),
      output: delivery.output,
    };
    const outcome = await launch({ token, launcher, log }, order, io);
    await watch.end();
    const explained = deadline.signal.aborted ? atFunctionEnd(outcome) : outcome;
    return () => delivery.end(explained);
  } finally {
    await launcher.close();
  }
};

/** The control plane as this invocation sees it: nothing that it began goes on in the next. */
const makeOwnControl = (
  { clock, fetch }: ExecutorOptions,
  { url, token }: Pick<Invocation, 'url' | 'token'>,
  over: AbortSignal,
): { readonly control: Control; readonly controlClock: Clock } => {
  const controlClock: Clock = {
    // Afterwards no patience is left for anything.
    now: () => (over.aborted ? Number.POSITIVE_INFINITY : clock.now()),
    sleep: (milliseconds, signal) => clock.sleep(milliseconds, signal ? AbortSignal.any([signal, over]) : over),
    after: clock.after,
  };
  const control = makeControl({
    url,
    token,
    runner: randomBytes(16).toString('hex'),
    clock: controlClock,
    fetch: (to, init) => fetch(to, { ...init, signal: init.signal ? AbortSignal.any([init.signal, over]) : over }),
  });
  return { control, controlClock };
};

const UNREACHABLE: LastRecord = {
  kind: 'rejected',
  detail: 'The function could not reach the control plane to redeem the start ticket.',
  retryable: true,
};
const FUNCTION_OVER = 'It was stopped, since the function that it ran in was about to be ended by its time-out.';

const atFunctionEnd = (outcome: LaunchOutcome): LaunchOutcome =>
  outcome.kind === 'ended' ? { ...outcome, exit: { detail: FUNCTION_OVER, ...outcome.exit } } : outcome;
