import { describe, expect, test } from 'vitest';
import { crashEverywhere, loseEachAnswer, SCHEDULED, STORIES, type StoryName } from './crash-placement.ts';
import { PROVIDER_NAMES } from './profiles.ts';

const STORY_NAMES = Object.keys(STORIES) as StoryName[];

describe.for(PROVIDER_NAMES)('%s', (profile) => {
  test.for(STORY_NAMES)('a command %s keeps its promises wherever its process dies', async (name) => {
    for (const point of ['before-call', 'after-call'] as const) {
      const { places, violations } = await crashEverywhere(profile, STORIES[name], point);
      expect(violations).toEqual([]);
      expect(places).toBeGreaterThan(50);
    }
  });

  test.for(STORY_NAMES)('a command %s keeps its promises whichever answer of the store is lost', async (name) => {
    const { places, violations } = await loseEachAnswer(profile, STORIES[name]);
    expect(violations).toEqual([]);
    expect(places).toBeGreaterThan(3);
  });
});

describe.for(['schedules', 'schedules-far'] as const)('%s', (profile) => {
  test('each instant is submitted once wherever the process dies', async () => {
    for (const point of ['before-call', 'after-call'] as const) {
      const { places, violations } = await crashEverywhere(profile, SCHEDULED, point);
      expect(violations).toEqual([]);
      expect(places).toBeGreaterThan(50);
    }
  });

  test('each instant is submitted once whichever answer of the store is lost', async () => {
    const { places, violations } = await loseEachAnswer(profile, SCHEDULED);
    expect(violations).toEqual([]);
    expect(places).toBeGreaterThan(3);
  });
});
