import { isLeaving } from '../access/leaving.ts';
import { type Attempt, type CommandSpec, currentAttempt, isFinal, type SignalName } from '../domain/command.ts';
import { isConflict } from '../domain/errors.ts';
import type { Sign } from '../domain/health.ts';
import { attemptKeyOf } from '../domain/ids.ts';
import { toRunnerToken } from '../domain/runner-token.ts';
import type { Observation } from '../engine/types.ts';
import type { Provider, Run, RunIo, RunName, StartOutcome } from '../providers/provider.ts';
import { runWithSecrets, type SecretValues } from '../secrets/secret-run.ts';
import type { Stored } from '../store/commands.ts';
import type { Chunk, OutputWriter } from '../store/output-writer.ts';
import { type Reference, referenceOf, splitReference } from '../store/schema.ts';
import type { Deps } from './deps.ts';
import { type Moved, observeCommand, targetOf } from './observe-command.ts';
import { resolveSecrets } from './resolve-secrets.ts';
import { runInSession } from './run-in-session.ts';
import { storeEnd } from './store-end.ts';
import { environmentOf } from './trace-environment.ts';

/**
 * Carries an attempt from its start to its stored end; the caller performs the effects of that end.
 * Does not throw for what the command or the provider did. Undefined when there was nothing to carry. A command of a tenant that is
 * being removed is canceled in its place.
 */
export const runAttempt = async (deps: Deps, reference: Reference, started: Stored): Promise<Moved | undefined> => {
  const attempt = currentAttempt(started.command);
  if (!attempt) return undefined;
  if (await isLeaving(deps.principals, started.command.tenant)) {
    return observeCommand(deps, reference, { kind: 'cancel-requested' });
  }
  using _held = deps.runs.hold(attemptKeyOf(started.command.id, attempt.number));
  const output = deps.output.openWriter(reference, attempt.number, {
    promptly: started.command.spec.terminal !== undefined,
  });
  const carried = makeCarriedRun(deps, reference, started, attempt, output);
  const outcome = await startAtProvider(deps, started, attempt, carried.io);
  await carried.end();
  // Nothing was executed, and whoever holds the ticket has the word.
  if (outcome.kind === 'refused') return undefined;
  if (outcome.kind === 'accepted') return leaveToRunner(deps, reference, attempt, outcome.ref);
  try {
    const { totals, rest } = await output.finish();
    if (outcome.kind === 'unheard') return await leaveUnheard(deps, reference, attempt, outcome, rest);
    const seen = { ...toObservation(attempt.number, outcome, totals), ticket: attempt.ticket };
    return await untilStored(deps, reference, () => storeEnd(deps, reference, seen, { rest, from: carried.stored() }));
  } catch (error) {
    if (!isConflict(error)) throw error;
    // Its runner was not heard by us, or we not by it, and it stores the rest by itself.
    deps.log.warn('A run has another writer, to which it is left', { reference, attempt: attempt.number });
    return undefined;
  }
};

/** What came of it is stored, and whether it started at all the record knows; its runner has the word. */
const leaveUnheard = async (
  deps: Deps,
  reference: Reference,
  { number: attempt }: Attempt,
  { detail }: { readonly detail: string },
  rest: Chunk | undefined,
): Promise<Moved | undefined> => {
  if (rest) await untilStored(deps, reference, () => deps.output.append(reference, attempt, rest));
  return untilStored(deps, reference, () => observeCommand(deps, reference, { kind: 'unheard', attempt, detail }));
};

const startAtProvider = async (deps: Deps, { command }: Stored, attempt: Attempt, io: RunIo): Promise<StartOutcome> => {
  const target = targetOf(deps, attempt.target);
  if (!target) {
    const detail = `The target ${attempt.target} is not configured here.`;
    return { kind: 'rejected', fault: { detail, retryable: true } };
  }
  const fields = { attempt: attemptKeyOf(command.id, attempt.number), target: target.name };
  // It went down since it was chosen.
  if (deps.fleet.isDown(target.name)) {
    const detail = `The target ${target.name} is down: ${deps.fleet.of(target.name).condition?.why}`;
    return { kind: 'rejected', fault: { detail, retryable: true } };
  }
  let provider: Provider;
  let secrets: SecretValues | undefined;
  try {
    provider = await target.load();
  } catch (error) {
    deps.log.error('A target could not be loaded', { ...fields, error });
    const detail = `The target ${target.name} could not be loaded.`;
    await deps.fleet.saw(target.name, { ok: false, why: detail });
    return { kind: 'rejected', fault: { detail, retryable: true } };
  }
  // A runner elsewhere is told of them when it redeems the ticket, and masks what it sends.
  if (command.spec.secrets && target.features.runner === 'in-process') {
    const resolved = await resolveSecrets(deps, command).catch((error: unknown) => {
      deps.log.error('The secrets of a command could not be had', { ...fields, error });
      return undefined;
    });
    if (!resolved) return { kind: 'rejected', fault: { detail: NO_SECRETS, retryable: true } };
    if (resolved.kind === 'refused') return { kind: 'rejected', fault: { detail: resolved.detail, retryable: false } };
    secrets = resolved.values;
  }
  try {
    const run = toRun(deps, command, attempt);
    const outcome = await (command.session === undefined
      ? secrets
        ? runWithSecrets(provider.start, run, io, secrets)
        : provider.start(run, io)
      : runInSession(deps, command, command.session, io));
    const sign = signOf(outcome);
    if (sign) await deps.fleet.saw(target.name, sign);
    return outcome;
  } catch (error) {
    // A provider that throws broke its word, so nothing is known of what it did.
    deps.log.error('A provider threw from start', { ...fields, error });
    await deps.fleet.saw(target.name, { ok: false, why: 'A start failed in an unknown way.' });
    // Its runner may have the word already; whether there is one, a look at the provider will tell.
    if (target.features.mode === 'detached') return { kind: 'accepted' };
    return { kind: 'lost', detail: 'The provider failed in a way that leaves the outcome unknown.' };
  }
};

/** What a start tells of its target. Who says when to come again is busy and not ill; a refusal for good is about the command. */
const signOf = (outcome: StartOutcome): Sign | undefined => {
  if (outcome.kind === 'accepted' || outcome.kind === 'ended') return { ok: true };
  if (outcome.kind !== 'rejected' || !outcome.fault.retryable || outcome.fault.retryAfterSeconds) return undefined;
  return { ok: false, why: outcome.fault.detail };
};

const NO_SECRETS = 'The secrets of the command could not be read from the vault.';

/** It exists at the provider now, and its runner has the word. */
const leaveToRunner = (
  deps: Deps,
  reference: Reference,
  attempt: Attempt,
  ref: string | undefined,
): Promise<Moved | undefined> => {
  const seen = { kind: 'accepted', attempt: attempt.number, ref } as const;
  // Not stored before this process ended says nothing of the run; whoever looks next asks the provider.
  return untilStored(deps, reference, () => observeCommand(deps, reference, seen));
};

export const toRunName = (reference: Reference, { number, worker, ref }: Attempt): RunName => {
  const { tenant, id } = splitReference(reference);
  return { key: attemptKeyOf(id, number), tenant, worker, ...(ref === undefined ? {} : { ref }) };
};

/** What is executed: the argv itself, or the script by its shell. */
export const toArgv = ({ argv, shell, script }: CommandSpec): Run['argv'] => argv ?? [shell, '-c', script ?? ''];

const toRun = (deps: Deps, command: Stored['command'], attempt: Attempt): Run => {
  const { id, tenant, spec } = command;
  return {
    ...toRunName(referenceOf(tenant, id), attempt),
    token: toRunnerToken({ tenant, id, attempt: attempt.number, ticket: attempt.ticket }),
    argv: toArgv(spec),
    env: environmentOf(deps, command, attempt.number),
    ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
    ...(spec.image === undefined ? {} : { image: spec.image }),
    ...(spec.cpu === undefined ? {} : { cpu: spec.cpu }),
    ...(spec.memoryMiB === undefined ? {} : { memoryMiB: spec.memoryMiB }),
    ...(spec.terminal ? { terminal: spec.terminal } : {}),
    isolation: attempt.isolation ?? spec.isolation,
    timeoutSeconds: spec.timeoutSeconds,
  };
};

const toObservation = (
  attempt: number,
  outcome: Exclude<StartOutcome, { kind: 'refused' | 'accepted' | 'unheard' }>,
  output: Awaited<ReturnType<OutputWriter['finish']>>['totals'],
): Extract<Observation, { attempt: number }> => {
  switch (outcome.kind) {
    case 'ended':
      return { kind: 'ended', attempt, exit: outcome.exit, output };
    case 'rejected':
      return { kind: 'rejected', attempt, ...outcome.fault };
    case 'lost':
      return { kind: 'gone', attempt, output, detail: outcome.detail };
  }
};

interface CarriedRun {
  readonly io: RunIo;
  /** The newest version that this process knows. */
  stored(): Stored;
  /** Ends the watch over the run. */
  end(): Promise<void>;
}

/** The run as its provider sees it, and the watch over the record while it lives: time-out, cancel, signals, lease. */
const makeCarriedRun = (
  deps: Deps,
  reference: Reference,
  started: Stored,
  attempt: Attempt,
  output: OutputWriter,
): CarriedRun => {
  const stop = new AbortController();
  const over = new AbortController();
  let stored = started;
  let watching: Promise<void> | undefined;
  let deliver: ((signal: SignalName) => void) | undefined;
  let resizing: Disposable | undefined;
  let signalsDelivered = started.command.signals.length;

  /** Whether the attempt is still this one, as the store last said. */
  const isCurrent = (): boolean => {
    const current = currentAttempt(stored.command);
    return !isFinal(stored.command.status) && current?.ticket === attempt.ticket && stored.command.status !== 'queued';
  };

  const look = async (): Promise<void> => {
    const found = await deps.commands.find(reference);
    const looked = { kind: 'looked', worker: deps.worker, ticket: '', holding: true } as const;
    const moved =
      found && isSameAttempt(found, attempt) && (await observeCommand(deps, reference, looked, { from: found }));
    if (moved) stored = moved.stored;
    else if (found) stored = found;
    // Stopped, or given to someone else while this process was not heard of: either way it must end here.
    if (!isCurrent() || currentAttempt(stored.command)?.stop) stop.abort();
    for (const { attempt: number, signal } of stored.command.signals.slice(signalsDelivered)) {
      if (number === attempt.number) deliver?.(signal);
    }
    signalsDelivered = stored.command.signals.length;
  };

  const watch = async (): Promise<void> => {
    using changes = deps.changes.watch(reference, ['record']);
    over.signal.addEventListener('abort', () => changes[Symbol.dispose](), { once: true });
    while (!over.signal.aborted) {
      const deadlineAt = currentAttempt(stored.command)?.deadlineAt ?? Number.POSITIVE_INFINITY;
      const untilDeadline = stop.signal.aborted ? Number.POSITIVE_INFINITY : deadlineAt - deps.clock.now();
      await changes.next(Math.max(0, Math.min(deps.lookEverySeconds * 1_000, untilDeadline)));
      if (over.signal.aborted) return;
      await look().catch((error: unknown) => deps.log.warn('A look at a running command failed', { reference, error }));
    }
  };

  return {
    io: {
      async redeem() {
        const redeemed = { kind: 'redeemed', attempt: attempt.number, ticket: attempt.ticket } as const;
        const moved = await observeCommand(deps, reference, redeemed, { from: stored });
        if (!moved?.changed) return false;
        stored = moved.stored;
        watching = watch();
        return true;
      },
      async redeemedElsewhere() {
        await look().catch((error: unknown) =>
          deps.log.warn('A look at a running command failed', { reference, error }),
        );
        watching ??= watch();
      },
      output: (stream, bytes) => output.append(stream, bytes),
      stdin: stdinOf(deps, reference, started, over.signal),
      stop: stop.signal,
      onSignal(callback) {
        deliver = callback;
      },
      onResize(callback) {
        resizing = deps.terminalSizes.hear(reference, callback);
      },
    },
    stored: () => stored,
    async end() {
      over.abort('over');
      resizing?.[Symbol.dispose]();
      await watching;
    },
  };
};

const isSameAttempt = ({ command }: Stored, attempt: Attempt): boolean =>
  currentAttempt(command)?.ticket === attempt.ticket;

const stdinOf = (
  deps: Deps,
  reference: Reference,
  { command }: Stored,
  over: AbortSignal,
): AsyncIterable<Uint8Array> | undefined => {
  const { stdin } = command.spec;
  if (stdin.kind === 'none') return undefined;
  if (stdin.kind === 'open') return deps.stdin.read(reference, over);
  return (async function* () {
    yield Buffer.from(stdin.base64, 'base64');
  })();
};

/** The end of a run must not be lost to a store that is full or away for a while. @throws AppError 'conflict' */
const untilStored = async <T>(deps: Deps, reference: Reference, store: () => Promise<T>): Promise<T | undefined> => {
  for (let tries = 1; ; tries++) {
    try {
      return await store();
    } catch (error) {
      if (isConflict(error)) throw error;
      deps.log.error('The end of a command could not be stored yet', { reference, tries, error });
      if (deps.closing.aborted) return undefined;
      await deps.clock.sleep(1_000, deps.closing);
    }
  }
};
