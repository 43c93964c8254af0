import type { Duplex } from 'node:stream';
import type { ProviderFault, Run, RunIo, StartOutcome } from '../provider.ts';
import { feedStdin, readFrames } from './attached.ts';
import { makeControl } from './control.ts';
import { toExit } from './exits.ts';
import { toFault } from './faults.ts';
import { makeContainer, type Parts, startContainer } from './making.ts';
import { takeOutput } from './output.ts';
import { removeContainer } from './removal.ts';

/** A run that this process carries. */
export interface CarriedRun {
  /** Its container is gone, or will be looked for. */
  readonly end: Promise<StartOutcome>;
  /** TERM, grace, KILL. Before the start: nothing will be executed. */
  stop(): void;
}

export const carryRun = (parts: Parts, run: Run, io: RunIo): CarriedRun => {
  const stop = new AbortController();
  return { end: carry(parts, run, io, stop.signal), stop: () => stop.abort() };
};

const carry = async (parts: Parts, run: Run, io: RunIo, stop: AbortSignal): Promise<StartOutcome> => {
  const { daemon, closing } = parts;
  const made = await makeContainer(parts, run, { stdin: io.stdin !== undefined });
  if ('kind' in made) return made;
  const { id } = made;
  const drop = async (outcome: StartOutcome): Promise<StartOutcome> => {
    await removeContainer(parts, id, { run, stop, isSure: true });
    return outcome;
  };
  const connections: Duplex[] = [];
  const attach = async (what: 'output' | 'input'): Promise<Duplex> => {
    const connection = await daemon.attach(id, what);
    connections.push(connection);
    return connection;
  };
  try {
    let hasFolder = true;
    let output: Duplex;
    let input: Duplex | undefined;
    try {
      if (run.cwd !== undefined) hasFolder = await daemon.hasFolder(id, run.cwd);
      // Before the start, so that nothing is missed. Apart, so that input which nobody reads does not break the output.
      output = await attach('output');
      if (io.stdin) input = await attach('input');
    } catch (error) {
      return await drop({ kind: 'rejected', fault: toFault(error) ?? UNANSWERED });
    }
    const redeemed = stop.aborted ? false : await io.redeem().catch(() => undefined);
    if (redeemed === undefined) return await drop(rejected('The start ticket could not be redeemed.'));
    if (!redeemed) return await drop({ kind: 'refused' });
    if (closing.aborted) return await drop(rejected('The server is shutting down.'));
    if (stop.aborted) return await drop(unexecuted('It was stopped before it was executed.'));
    if (!hasFolder) {
      return await drop(unexecuted(`There is no folder ${run.cwd} in the image.`, NOT_EXECUTABLE));
    }
    const fault = await startContainer(parts, id);
    if (fault === undefined) return await follow(parts, { run, io, id, output, input, stop });
    if (fault !== 'lost') return await drop({ kind: 'rejected', fault });
    await removeContainer(parts, id, { run, stop, isSure: false });
    return { kind: 'lost', detail: 'The Docker daemon did not say whether it started the command.' };
  } finally {
    for (const connection of connections) connection.destroy();
  }
};

interface Started {
  readonly run: Run;
  readonly io: RunIo;
  readonly id: string;
  readonly output: Duplex;
  readonly input: Duplex | undefined;
  readonly stop: AbortSignal;
}

/** From its start to its end. */
const follow = async (parts: Parts, started: Started): Promise<StartOutcome> => {
  const { daemon, config, closing, context } = parts;
  const { run, io, id, input, stop } = started;
  const over = new AbortController();
  const control = makeControl(parts, id, over.signal);
  const output = takeOutput(io, () => control.end());
  // Resolved when nobody can read or feed it any more.
  const { promise: broken, resolve: giveUp } = Promise.withResolvers<undefined>();
  const onStop = () => control.end();
  if (stop.aborted) onStop();
  else stop.addEventListener('abort', onStop, { once: true });
  io.onSignal(control.signal);
  // Asked on a connection of its own from the start on: only a daemon that lived all the while says how a command ended.
  const told = daemon.wait(id, over.signal).catch(() => giveUp(undefined));
  const reading = readFrames(started.output, output.take).then((isWhole) => {
    if (!isWhole) giveUp(undefined);
  });
  // Docker's first process keeps the streams of a container open, whatever the command does with them. Podman's does not.
  const isHeldOpen = !(await daemon.isPodman());
  const silent = reading.then(() => statusOnceSilent(parts, id, { over: over.signal, isHeldOpen }));
  void silent.then((status) => status ?? giveUp(undefined));
  void told.then(() => untilQuiet(parts, output.taken, over.signal)).then(() => started.output.destroy());
  if (io.stdin && input) {
    void feedStdin(input, io.stdin).then(async (isFed) => {
      // It ends with the container; before that, a command would take it for the end of its input.
      if (isFed || !isHeldOpen) return;
      await context.clock.sleep(END_PATIENCE_MS, over.signal);
      giveUp(undefined);
    });
  }
  const ended = Promise.all([Promise.race([told, silent]), reading]).then(([status]) => status);
  const closed = closedFor(parts, config.graceSeconds * 1_000 + CLOSE_PATIENCE_MS, over.signal);
  const statusCode = await Promise.race([ended, broken, closed]);
  over.abort();
  stop.removeEventListener('abort', onStop);
  const isSure = statusCode !== undefined;
  const looked = statusCode === KILLED && !control.wasKilled() ? await look(parts, id) : undefined;
  const isGone = await removeContainer(parts, id, { run, stop, isSure });
  if (closing.aborted) return { kind: 'lost', detail: 'The server was shut down while the command ran.' };
  if (!isSure) return { kind: 'lost', detail: isGone ? BROKEN : `${BROKEN} ${NOT_SEEN_GONE}` };
  const exit = toExit({
    statusCode,
    program: run.argv[0],
    stderr: output.stderr(),
    isOutOfMemory: looked?.isOutOfMemory ?? false,
    wasKilled: control.wasKilled(),
    memoryMiB: run.memoryMiB ?? config.memoryMiB,
  });
  return { kind: 'ended', exit: output.hasFailed() ? { ...exit, ...UNTAKEN } : exit };
};

const KILLED = 137;
/** How a shell tells of what it cannot execute. */
const NOT_EXECUTABLE = 126;
const CLOSE_PATIENCE_MS = 10_000;
const END_PATIENCE_MS = 5_000;
const QUIET_MS = 10_000;
const BROKEN = 'The connection to the Docker daemon broke while the command ran, so that how it ended is not known.';
const NOT_SEEN_GONE = 'The daemon does not answer: its container is removed once it does.';
const UNTAKEN = { detail: 'It was stopped, as its output could not be taken any more.' } as const;
const UNANSWERED: ProviderFault = { detail: 'The Docker daemon does not answer.', retryable: true };

const rejected = (detail: string): StartOutcome => ({ kind: 'rejected', fault: { detail, retryable: true } });
const unexecuted = (detail: string, exitCode: number | null = null): StartOutcome => ({
  kind: 'ended',
  exit: { exitCode, signal: null, detail },
});

const look = ({ daemon }: Parts, id: string) => daemon.inspect(id).catch(() => undefined);

/**
 * The status of a container that says nothing more, should the daemon not tell it by itself.
 * @returns undefined when it runs on though its streams were held open, so that it was only the connection that ended
 */
const statusOnceSilent = async (
  { daemon, context: { clock } }: Parts,
  id: string,
  { over, isHeldOpen }: { readonly over: AbortSignal; readonly isHeldOpen: boolean },
): Promise<number | undefined> => {
  for (;;) {
    await clock.sleep(END_PATIENCE_MS, over);
    if (over.aborted) return undefined;
    const seen = await daemon.inspect(id).catch(() => 'unanswered' as const);
    if (seen === 'unanswered' || (seen && seen.exitCode === undefined && !isHeldOpen)) continue;
    return seen?.exitCode;
  }
};

/** Resolves so long after this process began to close, when a daemon that does not answer is waited for no longer. */
const closedFor = async (
  { closing, context: { clock } }: Parts,
  forMs: number,
  over: AbortSignal,
): Promise<undefined> => {
  const either = AbortSignal.any([closing, over]);
  if (!either.aborted) await new Promise((resolve) => either.addEventListener('abort', resolve, { once: true }));
  await clock.sleep(forMs, over);
  return undefined;
};

/** Resolves once a container that has ended has said nothing for a while: a daemon should have closed the connection. */
const untilQuiet = async ({ context: { clock } }: Parts, taken: () => number, over: AbortSignal): Promise<void> => {
  for (let before = -1; before !== taken() && !over.aborted; ) {
    before = taken();
    await clock.sleep(QUIET_MS, over);
  }
};
