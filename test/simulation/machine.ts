import type { Provider } from '../../shared/providers/provider.ts';
import type { Control } from '../../shared/runner/control.ts';
import { makeControl } from '../../shared/runner/control.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { startChild } from './child.ts';
import { type Life, makeLife } from './life.ts';
import type { PlaceParts } from './place.ts';
import { serveRunner } from './runner-door.ts';

/** A machine at a provider, on which a runner of ours may stand. */
export interface Machine {
  readonly life: Life;
  /** Told that it will be ended: what is on it has some seconds. */
  readonly evicted: AbortSignal;
  evict(): void;
  kill(why: string): void;
}

const EVICTION_MS = 10_000;

/** Starts a machine, and maybe something that befalls it later. */
export const startMachine = ({ world, faults }: PlaceParts, name: string): Machine => {
  const life = makeLife(world, name, world.rng.fork());
  const evicted = new AbortController();
  const machine: Machine = {
    life,
    evicted: evicted.signal,
    evict() {
      if (!life.isAlive() || evicted.signal.aborted) return;
      world.note(name, 'is told to end');
      world.after(EVICTION_MS, () => machine.kill('as it was told'));
      life.deliver(() => evicted.abort());
    },
    kill: (why) => life.crash(why),
  };
  const later = () => world.rng.pick([0, 300, 3_000, 20_000, 60_000]);
  if (faults.strikes('run-forgotten')) world.after(later(), () => machine.kill('unseen'));
  if (faults.strikes('run-evicted')) world.after(later(), () => machine.evict());
  if (faults.strikes('run-frozen')) {
    world.after(later(), () => life.freeze(world.rng.pick([5_000, 40_000, 200_000, 600_000])));
  }
  return machine;
};

/** What executes commands on a machine that is no process of ours: they end with it. */
export const launcherOn = (parts: PlaceParts, { life }: Machine): Provider => ({
  name: 'launcher',
  features: undefined as never,
  async start(run, io) {
    if (!(await io.redeem()) || io.stop.aborted) return { kind: 'refused' };
    const child = startChild(parts, life, run, io);
    life.onDeath(() => child.running.kill());
    return child.end;
  },
  observe: async () => ({ kind: 'gone' }),
  cancel: async () => {},
  health: async () => ({ healthy: true }),
  close: async () => {},
});

/** The shipped client of the control plane, over a network that loses what it likes. */
export const controlFrom = (parts: PlaceParts, { life }: Machine, token: string): Control =>
  makeControl({
    url: 'http://control.invalid',
    token,
    runner: life.random.hex(16),
    clock: life.clock,
    fetch: (url, init) => askOverNetwork(parts, life, url, init),
  });

const askOverNetwork = (
  { world, faults, reachable, tellBug }: PlaceParts,
  life: Life,
  url: string,
  init: RequestInit,
): Promise<Response> => {
  const path = url.slice(url.indexOf('/runner/v1/') + '/runner/v1/'.length);
  return life.call(`ask ${path}`, (answer) => {
    init.signal?.addEventListener('abort', () => answer.reject(new Error('cut')), { once: true });
    if (init.signal?.aborted) return answer.reject(new Error('cut'));
    // Nobody answers: who asked gives up by itself.
    if (faults.strikes('request-lost')) return;
    world.after(world.rng.between(3, 60), () => {
      const alive = reachable();
      if (alive.length === 0) return answer.reject(new Error('refused'));
      const served = world.rng.pick(alive);
      const { life: server } = served;
      server.deliver(() => {
        void serveRunner(served, path, init, tellBug).then((response) => {
          world.note(server.name, `answers ${life.name}: ${path} ${response.status}`);
          if (!faults.strikes('answer-lost')) world.after(world.rng.between(3, 60), () => answer.resolve(response));
        });
      });
    });
  });
};

export const logOfMachine = silentLog;
