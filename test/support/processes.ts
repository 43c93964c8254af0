import { readdirSync, readFileSync } from 'node:fs';

/** The processes, zombies aside, that carry a text in their environment or their arguments (Linux). */
export const processesWith = (text: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => !isZombie(pid) && (read(`/proc/${pid}/environ`) + read(`/proc/${pid}/cmdline`)).includes(text))
    .map(Number);

/** The helper processes of one server or test, and of no other that runs on this machine. */
export const helpersOf = (parent: number): number[] =>
  ['shared/providers/local/helper.ts', 'launcher/build/errand-launcher']
    .flatMap(processesWith)
    .filter((pid) => parentOf(pid) === parent);

/** The processes, zombies aside, that this one started. */
export const childrenOf = (parent: number): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && !isZombie(name) && parentOf(Number(name)) === parent)
    .map(Number);

/** The processes, zombies aside, that stand below this one. */
export const descendantsOf = (ancestor: number): number[] =>
  childrenOf(ancestor).flatMap((pid) => [pid, ...descendantsOf(pid)]);

/** What a process has in its memory, by file, and what it was started with. */
export const programOf = (pid: number): string => read(`/proc/${pid}/maps`) + read(`/proc/${pid}/cmdline`);

const parentOf = (pid: number): number => Number(/PPid:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1]);

const isZombie = (pid: string): boolean => {
  const stat = read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
};

const read = (path: string): string => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
};
