import { describe, expect, test } from 'vitest';
import {
  crashEverywhere,
  loseEachAnswer,
  OF_A_RESUMED_WORKFLOW,
  OF_A_WORKFLOW,
  SCHEDULED,
  STORIES,
  type Story,
  type StoryName,
} from './crash-placement.ts';
import { PROVIDER_NAMES, type ProfileName } from './profiles.ts';

const STORY_NAMES = Object.keys(STORIES) as StoryName[];

const diesEverywhere = async (profile: ProfileName, story: Story): Promise<void> => {
  for (const point of ['before-call', 'after-call'] as const) {
    const { places, violations } = await crashEverywhere(profile, story, point);
    expect(violations).toEqual([]);
    expect(places).toBeGreaterThan(50);
  }
};

const losesEachAnswer = async (profile: ProfileName, story: Story): Promise<void> => {
  const { places, violations } = await loseEachAnswer(profile, story);
  expect(violations).toEqual([]);
  expect(places).toBeGreaterThan(3);
};

describe.for(PROVIDER_NAMES)('%s', (profile) => {
  test.for(STORY_NAMES)('a command %s keeps its promises wherever its process dies', (name) =>
    diesEverywhere(profile, STORIES[name]),
  );

  test.for(STORY_NAMES)('a command %s keeps its promises whichever answer of the store is lost', (name) =>
    losesEachAnswer(profile, STORIES[name]),
  );
});

describe.for([
  { profile: 'schedules', what: 'each instant is submitted once', story: SCHEDULED },
  { profile: 'schedules-far', what: 'each instant is submitted once', story: SCHEDULED },
  { profile: 'workflows', what: 'each node runs once', story: OF_A_WORKFLOW },
  { profile: 'workflows', what: 'each node runs once, and again where it failed', story: OF_A_RESUMED_WORKFLOW },
  { profile: 'workflows-far', what: 'each node runs once', story: OF_A_WORKFLOW },
  { profile: 'workflows-far', what: 'each node runs once, and again where it failed', story: OF_A_RESUMED_WORKFLOW },
] as const)('$profile: $what', ({ profile, story }) => {
  test('wherever the process dies', () => diesEverywhere(profile, story));

  test('whichever answer of the store is lost', () => losesEachAnswer(profile, story));
});
