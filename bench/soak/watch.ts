import { type Dirent, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Inside } from './probe.ts';
import type { Sample } from './samples.ts';

export interface WatchedServer {
  readonly pid: number;
  readonly dataDirectory: string;
  readonly probeFile: string;
}

/** What can be seen of a server from outside (Linux), and what its probe wrote since the last look. */
export const watchServer = ({ pid, dataDirectory, probeFile }: WatchedServer) => {
  let seenLines = 0;
  const takeInside = (): readonly Inside[] => {
    const lines = readFileSync(probeFile, 'utf8').trimEnd().split('\n');
    const fresh = lines.slice(seenLines);
    seenLines = lines.length;
    return fresh.map((line) => JSON.parse(line) as Inside);
  };
  return (): Omit<Sample, 'minutes' | 'submitted' | 'notFinal'> => {
    const inside = takeInside();
    return {
      rssMB: residentMB(pid),
      heapMB: Math.min(...inside.map(({ heapMB }) => heapMB)),
      launchersMB: launchersOf(pid).reduce((sum, launcher) => sum + residentMB(launcher), 0),
      ...descriptorsOf(pid),
      walMB: sizeOf(join(dataDirectory, 'errand.db-wal')) / 1e6,
      dataMB: folderBytes(dataDirectory) / 1e6,
      delayP99Ms: Math.max(...inside.map(({ delayP99Ms }) => delayP99Ms)),
      delayMaxMs: Math.max(...inside.map(({ delayMaxMs }) => delayMaxMs)),
    };
  };
};

const descriptorsOf = (pid: number): Pick<Sample, 'descriptors' | 'files'> => {
  const folder = `/proc/${pid}/fd`;
  const all = readdirSync(folder);
  const isConnection = (name: string): boolean => {
    try {
      return readlinkSync(join(folder, name)).startsWith('socket:');
    } catch {
      // Closed since it was listed.
      return true;
    }
  };
  return { descriptors: all.length, files: all.filter((name) => !isConnection(name)).length };
};

const residentMB = (pid: number): number =>
  (Number(/^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024) / 1e6;

/** https://www.kernel.org/doc/html/latest/filesystems/proc.html (task/…/children) */
const launchersOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => read(`/proc/${pid}/task/${task}/children`).trim().split(' '))
    .filter((child) => child !== '')
    .map(Number);

/** All that is kept: the work folders of commands come and go. */
const folderBytes = (folder: string): number =>
  entriesOf(folder)
    .filter(({ name }) => name !== 'work')
    .reduce((sum, entry) => {
      const path = join(folder, entry.name);
      return sum + (entry.isDirectory() ? folderBytes(path) : sizeOf(path));
    }, 0);

const entriesOf = (folder: string): Dirent[] => {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    // Removed since it was listed.
    return [];
  }
};

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;

const read = (file: string): string => {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    // Ended since it was listed.
    return '';
  }
};
