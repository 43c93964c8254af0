import { execFileSync } from 'node:child_process';
import { onTestFinished } from 'vitest';
import { tempDirectory } from './temp-directory.ts';

/** Whether disks of a test's own can be made: as root, on Linux, where mounting is allowed. */
export const canMakeDisks = ((): boolean => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

/** A disk of the test's own, gone after it. */
export const smallDisk = (options: string): string => {
  const folder = tempDirectory();
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]);
  onTestFinished(() => void execFileSync('umount', ['-l', folder]));
  return folder;
};
