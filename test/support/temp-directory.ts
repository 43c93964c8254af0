import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, onTestFinished } from 'vitest';
import { leaksInFolder, refuseLeaks } from './canaries/leaks.ts';

const make = (): string => mkdtempSync(join(tmpdir(), 'errand-test-'));

/** What was written there must hold no secret. */
const dispose = (path: string): void => {
  const leaks = leaksInFolder(path);
  rmSync(path, { recursive: true, force: true });
  refuseLeaks(leaks);
};

/** A folder of the test's own, gone after it. */
export const tempDirectory = (): string => {
  const path = make();
  onTestFinished(() => dispose(path));
  return path;
};

/** One of all tests of the file, or of the `describe` that it is asked for in. */
export const sharedDirectory = (): string => {
  const path = make();
  afterAll(() => dispose(path));
  return path;
};

/** One that every user may look into. */
export const publicDirectory = (): string => {
  const path = tempDirectory();
  chmodSync(path, 0o755);
  return path;
};
