import { join } from 'node:path';
import { isLocked, type ProcessLock, readNote, tryLock } from './process-lock.ts';

const lockFile = (dataDirectory: string): string => join(dataDirectory, 'server.lock');

interface RunningServer {
  readonly pid: number;
  readonly url: string;
}

/** The server that runs on a data folder now, if one does. */
export const findServer = (dataDirectory: string): RunningServer | undefined => {
  const file = lockFile(dataDirectory);
  return isLocked(file) ? (readNote(file) as RunningServer | undefined) : undefined;
};

/** Makes this process the folder's one server. @throws Error in words for a person when another one is */
export const lockServer = (dataDirectory: string): ProcessLock => {
  const lock = tryLock(lockFile(dataDirectory));
  if (lock) return lock;
  const other = findServer(dataDirectory);
  const who = other ? ` (process ${other.pid}, ${other.url})` : '';
  throw new Error(
    `A server already runs on ${dataDirectory}${who}. Use it, stop it, or choose another folder with --data.`,
  );
};
