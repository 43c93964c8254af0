import { afterAll, beforeAll, describe } from 'vitest';
import type { Embedded } from '../../local/embedded.ts';
import { openWatched } from '../support/errand.ts';
import { sharedDirectory } from '../support/temp-directory.ts';
import { callBy, quotaClaims } from './quotas-contract.ts';

describe('on SQLite', () => {
  const dataDirectory = sharedDirectory();
  let embedded: Embedded;

  beforeAll(async () => {
    embedded = await openWatched({ dataDirectory, work: true });
  });
  afterAll(() => embedded.close());

  quotaClaims(async () => callBy(embedded));
});
