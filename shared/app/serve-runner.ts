import type * as z from 'zod';
import { isSameSecret, noRight } from '../access/access.ts';
import { isLeaving } from '../access/leaving.ts';
import type { EndHead, OutputHead, RedeemStart, RunnerOutlook, StartOrder } from '../contract/runner.ts';
import { type Attempt, type Command, currentAttempt, waitsFor } from '../domain/command.ts';
import { AppError, isConflict } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import { type RunnerRight, TAKES_SECRETS } from '../domain/runner-token.ts';
import type { SecretValues } from '../secrets/secret-run.ts';
import type { Stored } from '../store/commands.ts';
import type { OutputSize } from '../store/output-log.ts';
import { type Reference, referenceOf } from '../store/schema.ts';
import { perform } from './advance-command.ts';
import type { Deps } from './deps.ts';
import { type Moved, observeCommand, targetOf } from './observe-command.ts';
import { type Resolved, resolveSecrets } from './resolve-secrets.ts';
import { toArgv } from './run-attempt.ts';
import { storeEnd } from './store-end.ts';
import { environmentOf } from './trace-environment.ts';

/** An inline run costs for as long as it lives, so that a stop is worth more looks. */
const LOOK_EVERY_SECONDS = { inline: 3, detached: 10 } as const;
/** How long a runner that reads open input waits for more before it asks again. */
const STDIN_WAIT_MS = 10_000;

interface OwnRun {
  readonly reference: Reference;
  readonly stored: Stored;
  /** The attempt that the right names. */
  readonly attempt: Attempt;
  /** Whether the command still waits for it. */
  readonly current: boolean;
}

/** @throws AppError 'unauthenticated' when no attempt has this ticket, in the words for a token that is none */
const findOwnRun = async (deps: Deps, { tenant, id, attempt: number, ticket }: RunnerRight): Promise<OwnRun> => {
  const reference = referenceOf(tenant, id);
  const stored = await deps.commands.find(reference);
  const attempt = stored?.command.attempts.find((one) => one.number === number);
  if (!stored || !attempt || !isSameSecret(attempt.ticket, ticket)) throw noRight();
  return { reference, stored, attempt, current: waitsFor(stored.command, number) };
};

/**
 * Gives the right to execute to the first runner that asks, and tells it what.
 * @throws AppError 'conflict' when another has it, the attempt was canceled or given up, or a secret of the command is gone:
 * nothing may be executed; 'unavailable' when its secrets cannot be had right now
 */
export const redeemStart = async (
  deps: Deps,
  right: RunnerRight,
  { runner, can = [] }: z.output<typeof RedeemStart>,
): Promise<StartOrder> => {
  const { reference, stored, attempt } = await findOwnRun(deps, right);
  if (await isLeaving(deps.principals, right.tenant)) {
    await perform(deps, reference, await observeCommand(deps, reference, { kind: 'cancel-requested' }));
    throw new AppError('conflict', 'The tenant is being removed: execute nothing.');
  }
  // Before the ticket is redeemed: a vault that is away leaves it to be asked for again.
  const resolved: Resolved =
    stored.command.spec.secrets && !can.includes(TAKES_SECRETS)
      ? { kind: 'refused', detail: TOO_OLD }
      : await resolveSecrets(deps, stored.command);
  const seen = { kind: 'redeemed', attempt: attempt.number, ticket: right.ticket, runner } as const;
  const moved = await observeCommand(deps, reference, seen, { from: stored });
  const redeemed = moved && currentAttempt(moved.stored.command);
  // Also when it is the same runner that asks again because the answer was lost.
  if (!moved || redeemed?.runner !== runner || !waitsFor(moved.stored.command, attempt.number)) {
    throw new AppError('conflict', 'The start ticket is not to be had: execute nothing.');
  }
  if (resolved.kind === 'resolved') return toOrder(deps, moved.stored, redeemed, resolved.values);
  // Only who has the ticket may say that nothing was executed.
  const rejected = { kind: 'rejected', attempt: attempt.number, detail: resolved.detail, retryable: false } as const;
  await perform(deps, reference, await observeCommand(deps, reference, rejected, { from: moved.stored }));
  throw new AppError('conflict', `${resolved.detail} Execute nothing.`);
};

const TOO_OLD =
  'The runner is too old to be given secrets, and would run the command without them. Prepare the target again, which brings a new one.';

const toOrder = (
  deps: Deps,
  { command }: Stored,
  { target, number }: Attempt,
  secrets: SecretValues | undefined,
): StartOrder => {
  const { spec } = command;
  return {
    argv: toArgv(spec),
    env: environmentOf(deps, command, number),
    ...(secrets ? { secrets: toBase64(secrets) } : {}),
    ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
    stdin: spec.stdin.kind === 'fixed' ? { base64: spec.stdin.base64 } : spec.stdin.kind,
    timeoutSeconds: spec.timeoutSeconds,
    lookEverySeconds: LOOK_EVERY_SECONDS[targetOf(deps, target)?.features.mode ?? 'detached'],
    keepBytes: LIMITS.outputBytes,
  };
};

const toBase64 = (values: SecretValues): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Buffer.from(value).toString('base64')]));

/** The runner's look: what it has to do now, and if it asks how much of its output is stored. It vouches for the run, so the lease is renewed. */
export const lookAtOwnRun = async (
  deps: Deps,
  right: RunnerRight,
  { stored: wantsStored = false } = {},
): Promise<RunnerOutlook> => {
  const { reference, stored, attempt, current } = await findOwnRun(deps, right);
  const looked = { kind: 'looked', worker: attempt.worker, ticket: '', holding: true } as const;
  const latest = current
    ? // The effects are the runner's own to perform: it is told to stop.
      (await observeCommand(deps, reference, looked, { from: stored }))?.stored
    : undefined;
  if (!latest || !waitsFor(latest.command, attempt.number)) return { stop: true, over: true, signals: [] };
  const { signals } = latest.command;
  return {
    stop: currentAttempt(latest.command)?.stop !== undefined,
    over: false,
    signals: signals.filter((sent) => sent.attempt === attempt.number).map(({ signal }) => signal),
    ...(wantsStored ? { stored: await deps.output.size(reference, attempt.number) } : {}),
  };
};

/** The next of open input, waiting a while for it. `ended`: there is and will be none from `from` on. */
export const readOwnStdin = async (
  deps: Deps,
  right: RunnerRight,
  from: number,
): Promise<{ readonly bytes: Uint8Array; readonly ended: boolean }> => {
  const { reference, current } = await findOwnRun(deps, right);
  if (!current) throw over();
  const patience = new AbortController();
  const waited = new AbortController();
  void deps.clock.sleep(STDIN_WAIT_MS, waited.signal).then(() => patience.abort());
  try {
    for await (const bytes of deps.stdin.read(reference, patience.signal, from)) return { bytes, ended: false };
    return { bytes: new Uint8Array(), ended: !patience.signal.aborted };
  } finally {
    waited.abort();
  }
};

/**
 * Stores a chunk that follows right after what is stored; one that is stored already is taken as that.
 * @throws AppError 'conflict' when nobody waits for the attempt, bytes are missing before the chunk or the first of it are
 * stored by someone else, 'invalid-request' for a chunk that is none
 */
export const storeOwnOutput = async (
  deps: Deps,
  right: RunnerRight,
  head: OutputHead,
  bytes: Uint8Array,
): Promise<void> => {
  assertChunk(head, bytes);
  const { reference, current } = await findOwnRun(deps, right);
  if (!current) throw over();
  const fit = fitOf(head, await deps.output.size(reference, right.attempt));
  if (fit === 'beyond') throw new AppError('conflict', 'Output is missing before this chunk.');
  if (fit === 'partly') throw new AppError('conflict', 'A part of this chunk is stored: send what follows it.');
  if (fit === 'next') await deps.output.append(reference, right.attempt, { ...head, bytes });
};

/**
 * Whether a chunk is the next one, or is there already. Only the next one is stored, so that whoever has the token can
 * neither keep more than the limit on output nor write twice to one place.
 */
const fitOf = (chunk: OutputHead, stored: OutputSize): 'next' | 'stored' | 'partly' | 'beyond' => {
  const { stdoutOffset, stderrOffset } = chunk;
  if (stdoutOffset === stored.stdoutBytes && stderrOffset === stored.stderrBytes) return 'next';
  const storedBytes = stored.stdoutBytes + stored.stderrBytes;
  if (stdoutOffset + stderrOffset >= storedBytes) return 'beyond';
  const after = sizeAfter(chunk);
  return after.stdoutBytes + after.stderrBytes <= storedBytes ? 'stored' : 'partly';
};

/**
 * Stores the end. Told twice it is stored once; of an attempt for which nobody waits it is of no interest.
 * What the record then counts is what is stored, whatever the runner counted.
 */
export const endOwnRun = async (deps: Deps, right: RunnerRight, head: EndHead, bytes: Uint8Array): Promise<void> => {
  const chunk = head.kind === 'rejected' ? undefined : head.chunk;
  if (chunk) assertChunk(chunk, bytes);
  const { reference, stored, attempt, current } = await findOwnRun(deps, right);
  if (!current) return;
  const store = async (): Promise<Moved | undefined> => {
    const before = await deps.output.size(reference, right.attempt);
    const rest = chunk && fitOf(chunk, before) === 'next' ? { ...chunk, bytes } : undefined;
    const seen = {
      ...toObservation(stored.command, attempt, head, rest ? sizeAfter(rest) : before),
      ticket: right.ticket,
    };
    return storeEnd(deps, reference, seen, { rest, from: stored });
  };
  // Another writer was faster: then its chunk stands, and the end all the same.
  const moved = await store().catch((error: unknown) => (isConflict(error) ? store() : Promise.reject(error)));
  await perform(deps, reference, moved);
};

const EVICTED = 'The machine that it ran on was told to end.';

const toObservation = (command: Command, { number: attempt, stop }: Attempt, head: EndHead, size: OutputSize) => {
  if (head.kind === 'rejected') return { ...head, attempt };
  const output = { ...size, droppedBytes: head.output.droppedBytes };
  if (head.kind === 'lost') return { kind: 'gone', attempt, output, detail: head.detail } as const;
  // A stop that was asked for ends the machine too; without one it was the provider, and nobody knows how it had ended.
  const isLost = head.evicted === true && stop === undefined && command.cancelRequestedAt === undefined;
  if (isLost) return { kind: 'gone', attempt, output, detail: head.exit.detail ?? EVICTED } as const;
  return { kind: 'ended', attempt, exit: head.exit, output } as const;
};

const sizeAfter = ({ stdoutOffset, stderrOffset, segments }: OutputHead): OutputSize => {
  const size = { stdout: stdoutOffset, stderr: stderrOffset };
  for (const { stream, length } of segments) size[stream] += length;
  return { stdoutBytes: size.stdout, stderrBytes: size.stderr };
};

const assertChunk = ({ segments }: OutputHead, bytes: Uint8Array): void => {
  const length = segments.reduce((sum, segment) => sum + segment.length, 0);
  if (length === bytes.length) return;
  const detail = `The segments have ${length} bytes, and ${bytes.length} follow.`;
  throw new AppError('invalid-request', detail, { faults: [{ in: 'body', pointer: '/segments', detail }] });
};

const over = (): AppError => new AppError('conflict', 'Nobody waits for this attempt any more.');
