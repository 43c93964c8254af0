import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A folder of the test's own, gone after it. */
export const tempDirectory = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'errand-test-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

/** One that every user may look into. */
export const publicDirectory = (): string => {
  const path = tempDirectory();
  chmodSync(path, 0o755);
  return path;
};
