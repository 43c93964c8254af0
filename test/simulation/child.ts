import type { Run, RunIo, StartOutcome } from '../../shared/providers/provider.ts';
import type { Executions, Running } from './executions.ts';
import type { Life } from './life.ts';
import type { World } from './world.ts';

/** A command that a process of ours started and reads. */
export interface Child {
  readonly running: Running;
  /** All that it wrote is taken, and it is gone. */
  readonly end: Promise<Extract<StartOutcome, { kind: 'ended' }>>;
}

/** Executes a run whose ticket is redeemed, and reads it as the launcher does: what it wrote first, then its end. */
export const startChild = (
  { world, executions }: { readonly world: World; readonly executions: Executions },
  life: Life,
  run: Pick<Run, 'key' | 'argv'>,
  io: Pick<RunIo, 'output' | 'stop' | 'onSignal' | 'stdin'>,
): Child => {
  const { promise, resolve } = Promise.withResolvers<Extract<StartOutcome, { kind: 'ended' }>>();
  let taken = Promise.resolve();
  const running = executions.begin(run, life.name, {
    wrote: (stream, bytes) =>
      life.deliver(() => {
        taken = taken.then(() => io.output(stream, bytes));
        taken.catch(() => {});
      }),
    ended: (exit) =>
      life.deliver(() => {
        // What cannot be taken any more does not keep its end from being told.
        void taken.catch(() => {}).then(() => resolve({ kind: 'ended', exit }));
      }),
  });
  const stop = () => world.after(world.rng.between(0, 300), () => running.terminate());
  if (io.stop.aborted) stop();
  else io.stop.addEventListener('abort', stop, { once: true });
  io.onSignal((signal) => running.signal(signal));
  void feed(running, io.stdin);
  return { running, end: promise };
};

const feed = async (running: Running, stdin: RunIo['stdin']): Promise<void> => {
  try {
    for await (const bytes of stdin ?? []) running.input(bytes);
  } catch {
    // It is the end of the input for the command; what became of it the record tells.
  }
  running.input('end');
};
