import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** The files that are in only one of two folders, or have other bytes. */
export const differences = (one: string, other: string, isOutside: (path: string) => boolean): readonly string[] => {
  const names = new Set(
    [one, other].flatMap((folder) => filesIn(folder, isOutside).map((path) => relative(folder, path))),
  );
  return [...names].filter((name) => {
    const [a, b] = [join(one, name), join(other, name)];
    return !existsSync(a) || !existsSync(b) || !readFileSync(a).equals(readFileSync(b));
  });
};

const filesIn = (folder: string, isOutside: (path: string) => boolean): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (isOutside(path)) return [];
    return entry.isDirectory() ? filesIn(path, isOutside) : [path];
  });
