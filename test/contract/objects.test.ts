import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { filesObjects } from '../../shared/objects/files.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { objectsContract } from './objects-contract.ts';

objectsContract('files', async () => filesObjects({ directory: tempDirectory() }));

describe('objects as files', () => {
  test('no draft is left beside what was put', async () => {
    const directory = tempDirectory();
    await filesObjects({ directory }).put('a/b', Buffer.from('x'));
    expect(readdirSync(join(directory, 'a'))).toEqual(['b']);
  });
});
