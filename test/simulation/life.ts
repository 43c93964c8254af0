import type { Clock, Random } from '../../shared/domain/clock.ts';
import type { Rng } from './rng.ts';
import type { World } from './world.ts';

/** Where a process is to die: right before its call takes effect, or after that and before it hears of it. */
export type CrashPoint = 'before-call' | 'after-call';

/** Answers a call, once; later answers are not heard. */
export interface Answer<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** The life of one process. It reaches the world by calls alone, so that what is dead can do nothing any more. */
export interface Life {
  readonly name: string;
  /** Its own, which may be wrong. */
  readonly clock: Clock;
  readonly random: Random;
  isAlive(): boolean;
  /** Calls back in this process: never if it is dead by then, and once it has thawed if it is frozen. */
  deliver(act: () => void): void;
  /** A call out of this process. From a dead one it goes nowhere. */
  call<T>(what: string, perform: (answer: Answer<T>) => void): Promise<T>;
  crash(why: string): void;
  freeze(milliseconds: number): void;
  /** Sets how far its clock is ahead of the truth. */
  setClock(aheadMs: number): void;
  /** At once, if it is dead already. */
  onDeath(act: () => void): void;
}

interface LifeOptions {
  /** Asked at each call. */
  readonly crashAt?: (life: Life, what: string) => CrashPoint | undefined;
}

export const makeLife = (world: World, name: string, rng: Rng, { crashAt }: LifeOptions = {}): Life => {
  let isAlive = true;
  let thawsAt = 0;
  let aheadMs = 0;
  const mourners: (() => void)[] = [];

  /** What came while it was frozen, in the order in which it came. */
  const backlog: (() => void)[] = [];

  const thaw = (): void => {
    if (thawsAt > world.now()) return void world.after(thawsAt - world.now(), thaw);
    for (const act of backlog.splice(0)) if (isAlive) act();
  };

  const isAwake = (): boolean => isAlive && thawsAt <= world.now() && backlog.length === 0;

  const deliver = (act: () => void): void => {
    if (!isAlive) return;
    if (isAwake()) {
      act();
      return;
    }
    backlog.push(act);
    if (backlog.length === 1) thaw();
  };

  const clock: Clock = {
    now: () => world.now() + aheadMs,
    sleep: (milliseconds, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const wake = () => {
          callOff();
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        const callOff = world.after(milliseconds, () => deliver(wake));
        signal?.addEventListener('abort', wake, { once: true });
      }),
    after: (milliseconds, wake) => {
      let calledOff = false;
      const callOff = world.after(milliseconds, () => deliver(() => calledOff || wake()));
      return () => {
        calledOff = true;
        callOff();
      };
    },
  };

  const life: Life = {
    name,
    clock,
    random: {
      fraction: () => rng.fraction(),
      hex: (length) => {
        let hex = '';
        while (hex.length < 2 * length) hex += rng.between(0, 0xffffff).toString(16).padStart(6, '0');
        return hex.slice(0, 2 * length);
      },
    },
    isAlive: () => isAlive,
    deliver,
    call: (what, perform) =>
      new Promise((resolve, reject) => {
        if (!isAlive) return;
        const point = crashAt?.(life, what);
        if (point === 'before-call') return life.crash(`before ${what}`);
        let isAnswered = false;
        const once = <V>(settle: (value: V) => void, value: V) => {
          if (isAnswered) return;
          isAnswered = true;
          if (point === 'after-call' && isAlive) life.crash(`after ${what}`);
          if (isAwake()) settle(value);
          else deliver(() => settle(value));
        };
        perform({ resolve: (value) => once(resolve, value), reject: (error) => once(reject, error) });
      }),
    crash(why) {
      if (!isAlive) return;
      isAlive = false;
      world.note(name, `dies ${why}`);
      for (const mourn of mourners) mourn();
    },
    freeze(milliseconds) {
      if (!isAlive) return;
      world.note(name, `is frozen for ${milliseconds} ms`);
      thawsAt = Math.max(thawsAt, world.now() + milliseconds);
    },
    setClock(milliseconds) {
      if (milliseconds === aheadMs) return;
      aheadMs = milliseconds;
      world.note(name, `has a clock that is ${milliseconds} ms ahead`);
    },
    onDeath: (act) => void (isAlive ? mourners.push(act) : act()),
  };
  return life;
};
