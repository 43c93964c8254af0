import type { InvokeWithResponseStreamResponseEvent } from '@aws-sdk/client-lambda';
import type { Clock } from '../../domain/clock.ts';
import type { RunIo, StartOutcome } from '../provider.ts';
import { ANOTHER_FUNCTION, broken, type Completion, type Heard, toCutShort } from './faults.ts';
import { isLast, type LastRecord, makeRecordReader, StreamFault, type StreamRecord } from './stream-frames.ts';

/** Six heartbeats, or a cold start: who says nothing for so long is not there any more. */
const SILENCE_MS = 60_000;

export interface ResponseOptions {
  readonly clock: Clock;
  /** Cuts the connection. The function itself goes on: Lambda does not end what nobody listens to. */
  readonly cut: AbortController;
}

/** Carries a run by the response of its executor, to its end. Never throws for what the response says. */
export const readResponse = async (
  events: AsyncIterable<InvokeWithResponseStreamResponseEvent>,
  io: RunIo,
  { clock, cut }: ResponseOptions,
): Promise<StartOutcome> => {
  const reader = makeRecordReader();
  let heard: Heard = 'nothing';
  let last: LastRecord | undefined;
  let completion: Completion | undefined;

  const take = async (record: StreamRecord): Promise<void> => {
    if (heard === 'nothing') heard = 'life';
    if (record.kind === 'started') {
      if (heard === 'started') throw new StreamFault('It started twice');
      heard = 'started';
      await io.redeemedElsewhere();
    } else if (record.kind === 'stdout' || record.kind === 'stderr') {
      if (heard !== 'started') throw new StreamFault('There is output before the start');
      await io.output(record.kind, record.bytes);
    } else if (isLast(record)) {
      if (record.kind === 'ended' && heard !== 'started') throw new StreamFault('There is an end before the start');
      last = record;
    }
  };

  try {
    for await (const event of whileHeard(events, { clock, cut })) {
      completion = event.InvokeComplete ?? completion;
      for (const record of event.PayloadChunk?.Payload ? reader.read(event.PayloadChunk.Payload) : []) {
        await take(record);
      }
      // What is known is known: what Lambda has to say of the function after that is of no more interest here.
      if (last) break;
    }
  } catch (error) {
    if (error instanceof StreamFault) return notOurs(error, heard);
    // Cut by us, by Lambda or on the way; or the output could not be taken any more.
    if (!last) return { kind: 'unheard', detail: BROKEN };
  } finally {
    cut.abort();
  }
  return last ? toOutcome(last, heard) : toCutShort(completion, heard);
};

const BROKEN = 'The connection to the function broke.';

/** The events, as long as one comes now and then. While one is being taken, which may be slow, time does not count. */
async function* whileHeard<T>(events: AsyncIterable<T>, { clock, cut }: ResponseOptions): AsyncGenerator<T> {
  const iterator = events[Symbol.asyncIterator]();
  for (;;) {
    const came = new AbortController();
    void clock.sleep(SILENCE_MS, came.signal).then(() => {
      if (!came.signal.aborted) cut.abort();
    });
    try {
      const next = await orCut(iterator.next(), cut.signal);
      if (next.done) return;
      yield next.value;
    } finally {
      came.abort();
    }
  }
}

/** A connection that is dead may not even notice that it was closed. */
const orCut = async <T>(value: Promise<T>, signal: AbortSignal): Promise<T> => {
  const { promise: cut, reject } = Promise.withResolvers<never>();
  const onCut = () => reject(new Error('The connection was cut.'));
  signal.addEventListener('abort', onCut, { once: true });
  if (signal.aborted) onCut();
  // Nobody waits for the one that comes second.
  value.catch(() => {});
  try {
    return await Promise.race([value, cut]);
  } finally {
    signal.removeEventListener('abort', onCut);
  }
};

const toOutcome = (last: LastRecord, heard: Heard): StartOutcome => {
  switch (last.kind) {
    case 'ended':
      return { kind: 'ended', exit: last.exit };
    case 'refused':
      return { kind: 'refused' };
    case 'rejected':
      // Lambda may have invoked a second one, and that one may have the ticket: what this one could not do says nothing of it.
      if (last.retryable && heard !== 'started') return { kind: 'unheard', detail: last.detail };
      return { kind: 'rejected', fault: { detail: last.detail, retryable: last.retryable } };
    case 'lost':
      return { kind: 'lost', detail: last.detail };
    case 'left':
      return { kind: 'unheard', detail: 'The executor tells the rest by itself.' };
  }
};

/** Another function than the executor, or a command that reached its function's runtime and spoke in its place. */
const notOurs = ({ message }: StreamFault, heard: Heard): StartOutcome => {
  if (heard === 'nothing') return broken(`${ANOTHER_FUNCTION} (${message}.)`);
  return { kind: 'lost', detail: `The function’s response is not understood: ${message}.` };
};
