import type { InvokeWithResponseStreamResponseEvent } from '@aws-sdk/client-lambda';
import { openDelivery } from '../../../runner/lambda/delivery.ts';
import type { InvocationResponse } from '../../../runner/lambda/invocation-response.ts';
import type { AttemptKey } from '../../../shared/domain/ids.ts';
import { readResponse } from '../../../shared/providers/lambda/read-response.ts';
import { encodeRecord, type LastRecord, type StreamRecord } from '../../../shared/providers/lambda/stream-frames.ts';
import type { Provider, Run, RunIo, StartOutcome } from '../../../shared/providers/provider.ts';
import { launch, watchRun } from '../../../shared/runner/runner.ts';
import type { Life } from '../life.ts';
import { controlFrom, launcherOn, logOfMachine, type Machine, startMachine } from '../machine.ts';
import { FEATURES, type Place, type PlaceParts, rejected } from '../place.ts';

const START_SECONDS = 60;
const HEARTBEAT_MS = 8_000;

/** The way from an executor to whoever invoked it: ordered bytes, until it is cut. */
interface Stream {
  push(event: InvokeWithResponseStreamResponseEvent): void;
  /** Nobody hears anything any more. The executor is told or not. */
  cut(isNoticed: boolean): void;
  isBroken(): boolean;
  events(): AsyncGenerator<InvokeWithResponseStreamResponseEvent>;
}

/** Functions that are invoked and answer with a stream, by the shipped reader and the shipped delivery. */
export const streamedPlace = (parts: PlaceParts): Place => {
  const { world, faults } = parts;
  const features = {
    ...FEATURES,
    mode: 'inline',
    runner: 'remote',
    leavesBehind: false,
    startSeconds: START_SECONDS,
    startTicket: true,
  } as const;
  const machines: Machine[] = [];

  const invoke = (run: Run, stream: Stream | undefined): void => {
    world.after(world.rng.pick([10, 100, 1_000, 8_000]), () => {
      const machine = startMachine(parts, `function-${machines.length + 1}`);
      machines.push(machine);
      const completion = world.rng.chance(0.5);
      machine.life.onDeath(() => {
        // Whether Lambda tells of a function that died, or its connection just ends.
        if (completion) stream?.push({ InvokeComplete: { ErrorCode: 'Runtime.ExitError' } });
        else stream?.cut(false);
      });
      const response = openResponse(machine, stream);
      void execute(parts, machine, run.token, response).then(() => {
        stream?.push({ InvokeComplete: {} });
        world.after(0, () => machine.kill('as it is done'));
      });
    });
  };

  const adapter = (life: Life): Provider => {
    const runs = new Set<AttemptKey>();

    const carry = async (run: Run, io: RunIo): Promise<StartOutcome> => {
      if (faults.strikes('start-refused')) return rejected('The function is invoked too often.');
      if (faults.strikes('start-refused-for-good')) return rejected('The function is not there.', false);
      const cut = new AbortController();
      const began = new AbortController();
      const stream = openStream(parts, life);
      cut.signal.addEventListener('abort', () => stream.cut(false), { once: true });
      void life.clock.sleep(START_SECONDS * 1_000, began.signal).then(() => began.signal.aborted || cut.abort());
      const isInvoked = await life.call<boolean>(`invoke ${run.key.slice(-6)}`, (answer) => {
        if (faults.strikes('start-hangs')) return void world.after(START_SECONDS * 1_000, () => answer.resolve(false));
        invoke(run, stream);
        if (faults.strikes('start-doubled')) invoke(run, undefined);
        if (faults.strikes('start-answer-lost'))
          return void world.after(START_SECONDS * 1_000, () => answer.resolve(false));
        if (faults.strikes('invocation-cut')) {
          world.after(world.rng.pick([50, 1_000, 10_000, 60_000]), () => stream.cut(world.rng.chance(0.5)));
        }
        world.after(world.rng.between(1, 30), () => answer.resolve(true));
      });
      if (!isInvoked) return { kind: 'unheard', detail: 'It did not answer in time.' };
      const outcome = await readResponse(untilBegun(stream.events(), began), io, { clock: life.clock, cut });
      began.abort();
      return outcome;
    };

    return {
      name: 'lambda',
      features,
      async start(run, io) {
        if (io.stop.aborted || runs.has(run.key)) return { kind: 'refused' };
        runs.add(run.key);
        return carry(run, io).finally(() => runs.delete(run.key));
      },
      observe: async ({ key }) =>
        runs.has(key) ? { kind: 'alive' } : { kind: 'gone', detail: 'Not heard of.', unheard: true },
      cancel: async () => {},
      health: async () => ({ healthy: true }),
      close: async () => {},
    };
  };

  return {
    features,
    adapter,
    left: () => machines.filter(({ life }) => life.isAlive()).map(({ life }) => `${life.name} lives`),
  };
};

async function* untilBegun<T>(events: AsyncGenerator<T>, began: AbortController): AsyncGenerator<T> {
  for await (const event of events) {
    began.abort();
    yield event;
  }
}

const openStream = ({ world }: PlaceParts, life: Life): Stream => {
  const waiting: (InvokeWithResponseStreamResponseEvent | 'cut')[] = [];
  let isCut = false;
  let isBroken = false;
  let lastAt = 0;
  let wake = () => {};
  const arrive = (what: InvokeWithResponseStreamResponseEvent | 'cut'): void => {
    // In order, however long each took.
    lastAt = Math.max(lastAt, world.now() + world.rng.between(1, 30));
    world.after(lastAt - world.now(), () =>
      life.deliver(() => {
        waiting.push(what);
        wake();
      }),
    );
  };
  return {
    push(event) {
      if (!isCut) arrive(event);
    },
    cut(isNoticed) {
      if (isCut) return;
      isCut = true;
      isBroken = isNoticed;
      arrive('cut');
    },
    isBroken: () => isBroken,
    async *events() {
      for (;;) {
        const next = waiting.shift();
        if (next === 'cut') throw new Error('The connection was cut.');
        if (next) {
          yield next;
          if (next.InvokeComplete) return;
        } else {
          await new Promise<void>((resolve) => (wake = resolve));
        }
      }
    },
  };
};

/** The response of an invocation, as openResponse has it on a real stream. */
const openResponse = ({ life }: Machine, stream: Stream | undefined): InvocationResponse => {
  let isOver = false;
  const write = (record: StreamRecord): void => {
    if (!life.isAlive()) return;
    for (const Payload of encodeRecord(record)) stream?.push({ PayloadChunk: { Payload: new Uint8Array(Payload) } });
  };
  const last = (record: LastRecord): void => {
    if (isOver) return;
    isOver = true;
    write(record);
  };
  const beat = async (): Promise<void> => {
    while (!isOver) {
      write({ kind: 'heartbeat' });
      await life.clock.sleep(HEARTBEAT_MS);
    }
  };
  void beat();
  return {
    async say(record) {
      if (stream?.isBroken()) throw new Error('The response stream broke.');
      write(record);
    },
    last,
    leave: () => last({ kind: 'left' }),
    close: async () => {},
  };
};

/** What the executor does, on the parts that are shipped (runner/lambda/executor.ts), without a machine below it. */
const execute = async (
  parts: PlaceParts,
  machine: Machine,
  token: string,
  response: InvocationResponse,
): Promise<void> => {
  const { life, evicted } = machine;
  const log = logOfMachine;
  const control = controlFrom(parts, machine, token);
  const order = await control.redeem().catch((error: unknown) => error as Error);
  if (order === undefined) return response.last({ kind: 'refused' });
  if (order instanceof Error) {
    return response.last({ kind: 'rejected', detail: 'The control plane was not reached.', retryable: true });
  }
  const tooLate = new AbortController().signal;
  const delivery = openDelivery({ control, response, clock: life.clock, log, keepBytes: order.keepBytes, tooLate });
  await response.say({ kind: 'started' }).catch(() => {});
  const watch = watchRun({ control: { ...control, look: delivery.look }, clock: life.clock, log, evicted }, order);
  const io: RunIo = { ...watch.io, output: delivery.output };
  const outcome = await launch({ token, launcher: launcherOn(parts, machine), log }, order, io);
  await watch.end();
  await delivery.end(outcome);
};
