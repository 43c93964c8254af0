import { setTimeout as sleep } from 'node:timers/promises';
import { helpersOf } from '../support/processes.ts';
import type { Dice } from './dice.ts';
import type { ServerProcess } from './embedded-server.ts';
import { leftovers } from './leftovers.ts';
import type { Harm } from './rounds.ts';

/** Kills the server, with its helpers or without, also while it starts, recovers, and stops. */
export const kills = (dataDirectory: string): Harm => {
  let helpers: number[] = [];
  return {
    dataDirectory,
    async strike(server, dice) {
      const kill = throwKill(dice);
      helpers.push(...(await doKill(server, kill)));
      return { how: `${kill.what}, from ${kill.from}` };
    },
    async quiet(client) {
      // With the first object that it stores, a server removes what others left half written.
      await client.run({ script: 'head -c 200000 /dev/zero' });
      const left = leftovers(dataDirectory, { mark: dataDirectory, helpers });
      helpers = [];
      return left;
    },
    stopped() {},
  };
};

/** What is killed, and when. */
interface Kill {
  readonly what: 'server' | 'server and helpers' | 'while it stops' | 'helper, then server';
  /** After its process was made, or after it began to serve. */
  readonly from: 'start' | 'serving';
  readonly afterMs: number;
  /** From the word to stop, or from the first kill. */
  readonly thenMs: number;
}

const throwKill = (dice: Dice): Kill => ({
  what: dice.oneOf(['server', 'server', 'server', 'server and helpers', 'while it stops', 'helper, then server']),
  from: dice.chance(0.3) ? 'start' : 'serving',
  ...throwMoment(dice),
});

/** From 5 to 2,000 ms, the short ones as often as the long ones. */
export const throwMoment = (dice: Dice): { readonly afterMs: number; readonly thenMs: number } => ({
  afterMs: Math.round(5 * 400 ** dice.fraction()),
  thenMs: dice.between(0, 500),
});

/** Resolves with the helpers that the server had, once the server is gone. */
const doKill = async (server: ServerProcess, { what, from, afterMs, thenMs }: Kill): Promise<readonly number[]> => {
  if (from === 'serving') await server.serves;
  await Promise.race([sleep(afterMs), server.gone]);
  const helpers = helpersOf(server.process.pid ?? 0);
  switch (what) {
    case 'server':
      break;
    case 'server and helpers':
      // Stopped first, so that none of them has the time to see that the server is gone.
      for (const helper of helpers) signal(helper, 'SIGSTOP');
      server.process.kill('SIGKILL');
      for (const helper of helpers) signal(helper, 'SIGKILL');
      break;
    case 'while it stops':
      server.process.kill('SIGTERM');
      await Promise.race([sleep(thenMs), server.gone]);
      break;
    case 'helper, then server':
      for (const helper of helpers.slice(0, 1)) signal(helper, 'SIGKILL');
      await sleep(thenMs);
  }
  server.process.kill('SIGKILL');
  await server.gone;
  return helpers;
};

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name);
  } catch {
    // It is gone already.
  }
};
