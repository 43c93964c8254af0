import type { RunnerOutlook } from '../../shared/contract/runner.ts';
import type { Clock, Instant } from '../../shared/domain/clock.ts';
import type { RunIo } from '../../shared/providers/provider.ts';
import type { Control } from '../../shared/runner/control.ts';
import { type LaunchOutcome, toEnd } from '../../shared/runner/runner.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import type { InvocationResponse } from './invocation-response.ts';
import { makeOutputTail } from './output-tail.ts';

export interface DeliveryOptions {
  readonly control: Pick<Control, 'look' | 'store' | 'end'>;
  readonly response: InvocationResponse;
  readonly clock: Clock;
  readonly log: Log;
  /** Output kept; the rest is counted only. */
  readonly keepBytes: number;
  /** Aborts when there is no time left. */
  readonly tooLate: AbortSignal;
}

/** Brings a run's output and its end to the record, whether or not the one lives who reads the response. */
export interface Delivery {
  readonly output: RunIo['output'];
  /** The look of the run's watch, which also learns what became of the output. @throws Unreachable */
  look(): Promise<RunnerOutlook>;
  /** Resolves when the end is on record, or nobody waits for it, or it is too late. */
  end(outcome: LaunchOutcome): Promise<void>;
}

/**
 * Kept of what is not known to be stored: twice what Lambda streams in the 2 s that reading, storing and asking may take,
 * at its 2 MB/s. At half of it the record is asked; when it is full the command is held back until it was answered.
 */
export const KEPT_BYTES = 8 * 1024 * 1024;
const ASK_EVERY_MS = 500;
/** Whoever reads the response stores what is in it within a second. When nothing of it was stored for so long, nobody reads. */
const UNSEEN_MS = 10_000;
const ARRIVAL_MS = 1_000;
/** So long after the end, or after its last sign of life, a reader that has not stored it is taken for dead. */
const END_PATIENCE_MS = 2_000;
const FIRST_END_LOOK_MS = 100;
/** As the runner in an image does. */
const COALESCE_MS = 200;
const CHUNK_BYTES = 512 * 1024;

/**
 * Says all on the response, which costs no request, and keeps what is not known to be stored. When the response turns out
 * not to be read, what was kept and all that follows is stored by the runner's protocol instead. A reader that was slow
 * and not dead does no harm: output is stored chunk by chunk, each only right behind the last, by whoever is first, and
 * who finds another's chunk in its place leaves (the reader) or goes on behind it (this). The first end stands.
 */
export const openDelivery = (options: DeliveryOptions): Delivery => {
  const { control, response, clock, log, keepBytes, tooLate } = options;
  const tail = makeOutputTail(KEPT_BYTES);
  let way: 'response' | 'protocol' = 'response';
  let hasLooked = false;
  let isOver = false;
  let isEnding = false;
  /** What is stored is not of this output: a command wrote it that has the token. Nothing can follow it. */
  let isForeign = false;
  let droppedBytes = 0;
  /** When it came, what is not known to be stored: up to which byte, to about a second. */
  let arrivals: { readonly at: Instant; end: number }[] = [];
  let isAsking = false;
  let storing: Promise<void> | undefined;
  let turn = Promise.withResolvers<void>();

  const arrive = (): void => {
    const last = arrivals.at(-1);
    if (last && clock.now() - last.at < ARRIVAL_MS) last.end = written();
    else arrivals.push({ at: clock.now(), end: written() });
  };

  /** Lets everything that waits look again. */
  const changed = (): void => {
    turn.resolve();
    turn = Promise.withResolvers();
  };
  tooLate.addEventListener('abort', changed, { once: true });
  const isDone = (): boolean => isOver || tooLate.aborted;
  const isUnseen = (): boolean => clock.now() - (arrivals[0]?.at ?? clock.now()) >= UNSEEN_MS;
  const written = (): number => {
    const { stdoutBytes, stderrBytes } = tail.totals();
    return stdoutBytes + stderrBytes;
  };

  const takeOver = (): void => {
    if (way === 'protocol') return;
    log.warn('The response is not read, so the rest is told by the runner’s protocol');
    way = 'protocol';
    if (!isEnding) response.leave();
    storing = storeAll();
    changed();
  };

  const learn = ({ over, stored }: RunnerOutlook): void => {
    isOver ||= over;
    if (stored) {
      const before = tail.bytes();
      isForeign ||= !tail.forget(stored);
      const storedBytes = written() - tail.bytes();
      arrivals = arrivals.filter(({ end }) => end > storedBytes);
      // A reader that is slow stores some of it.
      if (isForeign || (isUnseen() && tail.bytes() === before)) takeOver();
    }
    changed();
  };

  const ask = async (stored: boolean): Promise<RunnerOutlook> => {
    hasLooked = true;
    const outlook = await control.look({ stored });
    learn(outlook);
    return outlook;
  };

  const askForRoom = async (): Promise<void> => {
    if (isAsking) return;
    isAsking = true;
    while (way === 'response' && tail.fullness() >= 0.5 && !isDone()) {
      await ask(true).catch((error: unknown) => log.warn('What is stored could not be asked for', { error }));
      if (tail.fullness() >= 0.5) await clock.sleep(ASK_EVERY_MS, tooLate);
    }
    isAsking = false;
  };

  const storeNext = async (): Promise<void> => {
    const chunk = tail.next(CHUNK_BYTES);
    if (!chunk) return;
    const { bytes, ...head } = chunk;
    const before = tail.bytes();
    if (await control.store(head, bytes)) {
      const after = { stdoutBytes: head.stdoutOffset, stderrBytes: head.stderrOffset };
      for (const { stream, length } of head.segments) after[`${stream}Bytes`] += length;
      tail.forget(after);
    } else {
      await ask(true);
      // Refused, and not because someone else was faster.
      if (!isOver && tail.bytes() === before) isForeign = true;
    }
  };

  /** Until the end, and then until nothing is left. */
  const storeAll = async (): Promise<void> => {
    while (!isDone() && !(isEnding && tail.bytes() === 0)) {
      if (isForeign) return;
      if (tail.bytes() === 0) await turn.promise;
      else {
        if (!isEnding && tail.bytes() < CHUNK_BYTES) await clock.sleep(COALESCE_MS, tooLate);
        await storeNext().catch((error: unknown) => log.warn('Output could not be stored yet', { error }));
        changed();
      }
    }
  };

  /** Whether the reader stored the end. As long as it stores output, it lives. */
  const isEndTaken = async (): Promise<boolean> => {
    let patientUntil = clock.now() + END_PATIENCE_MS;
    for (let waitMs = FIRST_END_LOOK_MS; !isOver && clock.now() < patientUntil && !tooLate.aborted; waitMs *= 2) {
      await clock.sleep(Math.min(waitMs, END_PATIENCE_MS), tooLate);
      const before = tail.bytes();
      await ask(waitMs > FIRST_END_LOOK_MS && before > 0).catch((error: unknown) =>
        log.warn('Whether the end is stored could not be asked for', { error }),
      );
      if (tail.bytes() < before) patientUntil = clock.now() + END_PATIENCE_MS;
    }
    return isOver;
  };

  const report = async (outcome: LaunchOutcome): Promise<void> => {
    takeOver();
    changed();
    await storing;
    if (isDone()) return;
    const { head, bytes } = toEnd(outcome, { ...tail.totals(), droppedBytes }, undefined);
    if (!(await control.end(head, bytes))) log.warn('The end of this attempt was refused');
  };

  return {
    async output(stream, bytes) {
      while (tail.fullness() >= 1 && !isDone() && !isForeign) await turn.promise;
      if (isDone()) return;
      const kept = bytes.subarray(0, Math.max(0, keepBytes - written()));
      droppedBytes += bytes.length - kept.length;
      if (!isForeign) tail.append(stream, kept);
      if (kept.length > 0) arrive();
      if (way === 'protocol') return changed();
      if (tail.fullness() >= 0.5) void askForRoom();
      await response.say({ kind: stream, bytes }).catch(takeOver);
    },

    look: () => ask(way === 'response' && isUnseen()),

    async end(outcome) {
      isEnding = true;
      if (way === 'response') {
        response.last(toLast(outcome));
        // Most commands end before the first look, and their reader was there a moment ago: they are not asked for.
        if (!hasLooked || (await isEndTaken())) return;
      }
      await report(outcome).catch((error: unknown) => log.error('The end could not be reported', { error }));
    },
  };
};

const toLast = (outcome: LaunchOutcome) =>
  outcome.kind === 'rejected'
    ? ({ kind: 'rejected', detail: outcome.fault.detail, retryable: outcome.fault.retryable } as const)
    : outcome;
