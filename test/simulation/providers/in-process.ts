import type { AttemptKey, TenantId } from '../../../shared/domain/ids.ts';
import type { Observed, Provider, Run, RunIo, StartOutcome } from '../../../shared/providers/provider.ts';
import { startChild } from '../child.ts';
import type { Running } from '../executions.ts';
import type { Life } from '../life.ts';
import { FEATURES, type Place, type PlaceParts, rejected } from '../place.ts';

/** What is left on the machine of a run: its process, and where it has one, its container. */
interface Trace {
  readonly key: AttemptKey;
  readonly tenant: TenantId;
  readonly worker: string;
  readonly createdAt: number;
  running: Running | undefined;
}

/**
 * A machine on which processes of ours execute commands by themselves. `bare`: commands die with whoever started them, as with the local
 * provider; in containers they go on, and stay until they are removed, as with Docker.
 */
export const inProcessPlace = (parts: PlaceParts, { bare }: { readonly bare: boolean }): Place => {
  const { world, faults, isWorkerAlive } = parts;
  /** Two processes that start one attempt at once each leave one; of containers, only the first is made. */
  const traces = new Set<Trace>();
  const tracesOf = (key: AttemptKey): Trace[] => [...traces].filter((trace) => trace.key === key);
  const features = {
    ...FEATURES,
    mode: 'inline',
    runner: 'in-process',
    leavesBehind: !bare,
    startSeconds: 60,
    startTicket: true,
  } as const;

  const remove = (trace: Trace): void => {
    trace.running?.kill();
    traces.delete(trace);
  };

  const adapter = (life: Life): Provider => {
    const runs = new Map<AttemptKey, Promise<StartOutcome>>();
    /** A call to the machine, such as to the daemon of containers. */
    const ask = <T>(what: string, act: () => T): Promise<T> =>
      life.call(what, (answer) => {
        const fails = !bare && faults.strikes('provider-fails');
        world.after(world.rng.between(1, bare ? 5 : 80), () => {
          if (fails) answer.reject(new Error(`${what}: the simulated machine fails.`));
          else answer.resolve(act());
        });
      });

    const make = (run: Run): Trace | undefined => {
      const { key, tenant, worker } = run;
      // A container has the name of its attempt, and a name is given once.
      if (!bare && tracesOf(key).length > 0) return undefined;
      const trace: Trace = { key, tenant, worker, createdAt: world.now(), running: undefined };
      traces.add(trace);
      // Nobody is left who could hold it; what watches over it ends it within moments.
      if (bare) life.onDeath(() => world.after(world.rng.between(0, 2_000), () => remove(trace)));
      return trace;
    };

    const carry = async (run: Run, io: RunIo): Promise<StartOutcome> => {
      if (faults.strikes('start-refused')) return rejected('The simulated machine has no room.');
      if (faults.strikes('start-refused-for-good')) return rejected('The simulated machine cannot.', false);
      const trace = await ask(`start ${run.key.slice(-6)}`, () => make(run));
      if (!trace) return { kind: 'refused' };
      const drop = async (outcome: StartOutcome): Promise<StartOutcome> => {
        if (bare) remove(trace);
        else await ask('remove', () => remove(trace)).catch(() => {});
        return outcome;
      };
      const redeemed = io.stop.aborted ? false : await io.redeem().catch(() => undefined);
      if (redeemed === undefined) return drop(rejected('The start ticket could not be redeemed.'));
      if (!redeemed) return drop({ kind: 'refused' });
      // Somebody who looked meanwhile has removed it: there is nothing to start.
      if (!bare && !traces.has(trace)) return rejected('The simulated machine has no such container.');
      const child = startChild(parts, life, run, io);
      trace.running = child.running;
      return drop(await child.end);
    };

    return {
      name: bare ? 'local' : 'docker',
      features,
      async start(run, io) {
        if (io.stop.aborted || runs.has(run.key)) return { kind: 'refused' };
        const carried = carry(run, io).catch(() => rejected('The simulated machine fails.'));
        runs.set(run.key, carried);
        return carried.finally(() => runs.delete(run.key));
      },
      async observe({ key, worker }): Promise<Observed> {
        if (runs.has(key)) return { kind: 'alive' };
        return ask(`observe ${key.slice(-6)}`, () => {
          if (isWorkerAlive(worker)) return { kind: 'alive' };
          for (const trace of tracesOf(key)) remove(trace);
          return { kind: 'gone' };
        });
      },
      async cancel({ key }) {
        const carried = runs.get(key);
        if (carried) {
          for (const { running } of tracesOf(key)) running?.terminate();
          return void (await carried);
        }
        await ask(`cancel ${key.slice(-6)}`, () => {
          // What another process is about to start has no process yet that could be ended.
          for (const trace of tracesOf(key)) if (!bare || trace.running) remove(trace);
        });
      },
      async *held() {
        const found = await ask('held', () => (bare ? [] : [...traces]));
        for (const { key, tenant, worker, createdAt } of found) yield { key, tenant, worker, createdAt };
      },
      health: async () => ({ healthy: true }),
      close: async () => {},
    };
  };

  return {
    features,
    adapter,
    left: () =>
      [...traces].map(({ key, running }) => `${key} ${running?.execution.endedAt === undefined ? 'lives' : 'is left'}`),
  };
};
