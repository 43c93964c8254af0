import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { installationOf } from '../../../local/installation.ts';
import { systemRandom } from '../../../machine/system-clock.ts';
import { tempDirectory } from '../../support/temp-directory.ts';

test('a data folder has one name for what it makes elsewhere, and no other folder has it', () => {
  const [one, other] = [tempDirectory(), tempDirectory()];
  const name = installationOf(one, systemRandom);
  expect(name).toMatch(/^errand-[0-9a-f]{8}$/);
  expect(installationOf(one, systemRandom)).toBe(name);
  expect(installationOf(other, systemRandom)).not.toBe(name);
  expect(readdirSync(one)).toEqual(['installation']);
});
