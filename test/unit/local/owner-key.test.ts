import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ownerKeyOf, readOwnerKey } from '../../../local/owner-key.ts';
import { systemRandom } from '../../../machine/system-clock.ts';
import { tempDirectory } from '../../support/temp-directory.ts';

const isPosix = process.platform !== 'win32';

describe('the owner’s key', () => {
  test('is made once, of 256 random bits, and stays', () => {
    const directory = tempDirectory();
    expect(readOwnerKey(directory)).toBeUndefined();
    const key = ownerKeyOf(directory, systemRandom);
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    expect(ownerKeyOf(directory, systemRandom)).toBe(key);
    expect(readOwnerKey(directory)).toBe(key);
    expect(ownerKeyOf(tempDirectory(), systemRandom)).not.toBe(key);
  });

  test.skipIf(!isPosix)('can be read by its user alone, and leaves no draft', () => {
    const directory = tempDirectory();
    ownerKeyOf(directory, systemRandom);
    expect(statSync(join(directory, 'owner.key')).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['owner.key']);
  });

  test.skipIf(!isPosix)('that others can read is not used, and it is said what to do', () => {
    const directory = tempDirectory();
    ownerKeyOf(directory, systemRandom);
    chmodSync(join(directory, 'owner.key'), 0o644);
    expect(() => ownerKeyOf(directory, systemRandom)).toThrow(/chmod 600 /);
  });

  test.for(['', 'a-key', 'F'.repeat(64)])('is not taken from a file that holds %j', (text) => {
    const file = join(tempDirectory(), 'owner.key');
    writeFileSync(file, text, { mode: 0o600 });
    expect(() => ownerKeyOf(join(file, '..'), systemRandom)).toThrow('holds no key');
    expect(readFileSync(file, 'utf8')).toBe(text);
  });
});
