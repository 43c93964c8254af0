import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';

/** What is missing for recording-disk.c to be built and used; empty when nothing is. */
export const missingForDisk: readonly string[] = ((): string[] => {
  if (process.platform !== 'linux') return ['Linux'];
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' });
    return [];
  } catch {
    return ['cc'];
  }
})();

let built: string | undefined;

/** The library to preload. */
const library = (): string => {
  if (built) return built;
  const file = join(mkdtempSync(join(tmpdir(), 'errand-disk-')), 'recording-disk.so');
  const source = join(import.meta.dirname, 'recording-disk.c');
  execFileSync('cc', ['-shared', '-fPIC', '-O2', '-Wall', '-Wextra', '-Werror', '-o', file, source, '-ldl']);
  built = file;
  return file;
};

/** The environment of a process whose files below `root` are recorded. */
export const recording = (root: string, record: string): Readonly<Record<string, string>> => ({
  LD_PRELOAD: library(),
  ERRAND_DISK_ROOT: root,
  ERRAND_DISK_LOG: record,
});

const AT = { open: 0, read: 1, write: 2, sync: 3, name: 4 } as const;
const PATH_AT = 16;
const PAGE_BYTES = 256;

/** A disk that fails while it is told to. */
export interface FailingDisk {
  readonly env: Readonly<Record<string, string>>;
  /** From now on these calls fail so, for paths that have `path` in them. */
  fail(call: keyof typeof AT, error: 'EIO' | 'ENOSPC' | 'EMFILE' | 'EROFS' | 'EACCES', path?: string): void;
  heal(): void;
}

export const failingDisk = (root: string, control: string): FailingDisk => {
  writeFileSync(control, Buffer.alloc(PAGE_BYTES));
  const put = (bytes: Uint8Array, position: number): void => {
    const file = openSync(control, 'r+');
    writeSync(file, bytes, 0, bytes.length, position);
    closeSync(file);
  };
  return {
    env: { LD_PRELOAD: library(), ERRAND_DISK_ROOT: root, ERRAND_DISK_FAULTS: control },
    fail(call, error, path = '') {
      put(Buffer.concat([Buffer.from(path), Buffer.alloc(PAGE_BYTES - PATH_AT - path.length)]), PATH_AT);
      put(Uint8Array.of(constants.errno[error]), AT[call]);
    },
    heal: () => put(Buffer.alloc(PATH_AT), 0),
  };
};
