import type { Provider, StartOutcome } from '../../../shared/providers/provider.ts';
import type { Life } from '../life.ts';
import { type Place, type PlaceParts, rejected } from '../place.ts';

const LOOK_MS = 60_000;
const AWAY_MS = [20_000, 120_000, 600_000];
const ANSWER_MS = 30_000;

/** A place whose provider is away from time to time: it takes nothing and says nothing, and what it executes goes on. */
export const sometimesAway = ({ world, faults }: PlaceParts, place: Place): Place => {
  let backAt = 0;
  const isAway = () => world.now() < backAt;
  const look = (): void => {
    world.after(world.rng.between(0, LOOK_MS), () => {
      if (!isAway() && faults.strikes('place-away')) {
        const awayMs = world.rng.pick(AWAY_MS);
        backAt = world.now() + awayMs;
        world.note('world', `has a provider that is away for ${awayMs} ms`);
      }
      look();
    });
  };
  look();

  const adapter = (life: Life): Provider => {
    const provider = place.adapter(life);
    const silence = (what: string): Promise<never> =>
      life.call(what, (answer) => {
        world.after(world.rng.pick([50, ANSWER_MS]), () => answer.reject(new Error('The simulated provider is away.')));
      });
    return {
      ...provider,
      async start(run, io): Promise<StartOutcome> {
        if (!isAway()) return provider.start(run, io);
        return world.rng.chance(0.5) ? rejected('The simulated provider is away.') : silence('start');
      },
      observe: (run) => (isAway() ? silence('observe') : provider.observe(run)),
      cancel: (run) => (isAway() ? silence('cancel') : provider.cancel(run)),
      async *held() {
        if (isAway()) await silence('held');
        yield* provider.held?.() ?? [];
      },
      health: async () =>
        isAway() ? { healthy: false, detail: 'The simulated provider is away.' } : { healthy: true },
    };
  };
  return { ...place, adapter };
};
