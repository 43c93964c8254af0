import { describe, expect, test } from 'vitest';
import {
  crashEverywhere,
  loseEachAnswer,
  OF_A_RESUMED_WORKFLOW,
  OF_A_WORKFLOW,
  SCHEDULED,
  STORIES,
  type StoryName,
} from './crash-placement.ts';
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

describe.for([
  { profile: 'schedules', what: 'each instant is submitted once', story: SCHEDULED },
  { profile: 'schedules-far', what: 'each instant is submitted once', story: SCHEDULED },
  { profile: 'workflows', what: 'each node runs once', story: OF_A_WORKFLOW },
  { profile: 'workflows', what: 'each node runs once, and again where it failed', story: OF_A_RESUMED_WORKFLOW },
  { profile: 'workflows-far', what: 'each node runs once', story: OF_A_WORKFLOW },
  { profile: 'workflows-far', what: 'each node runs once, and again where it failed', story: OF_A_RESUMED_WORKFLOW },
] as const)('$profile: $what', ({ profile, story }) => {
  test('wherever the process dies', async () => {
    for (const point of ['before-call', 'after-call'] as const) {
      const { places, violations } = await crashEverywhere(profile, story, point);
      expect(violations).toEqual([]);
      expect(places).toBeGreaterThan(50);
    }
  });

  test('whichever answer of the store is lost', async () => {
    const { places, violations } = await loseEachAnswer(profile, story);
    expect(violations).toEqual([]);
    expect(places).toBeGreaterThan(3);
  });
});
