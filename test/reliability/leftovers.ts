import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { isLocked } from '../../local/process-lock.ts';
import { processesWith } from '../support/processes.ts';

/** What is there although nobody needs it any more, a sentence each: of a server that serves, and runs nothing. */
export const leftovers = (dataDirectory: string, { mark, helpers }: { mark: string; helpers: readonly number[] }) => {
  const found: string[] = [];
  for (const pid of processesWith(`MARK=${mark}`)) found.push(`process ${pid} of a command lives`);
  for (const pid of helpers) {
    if (processesWith('errand-launcher').includes(pid) || processesWith('local/helper.ts').includes(pid)) {
      found.push(`helper ${pid} of a server that was killed lives`);
    }
  }
  const files = filesIn(dataDirectory).map((path) => relative(dataDirectory, path));
  for (const file of files) {
    if (/^workers\/.*\.lock$/.test(file) && !isLocked(join(dataDirectory, file)))
      found.push(`${file} is nobody's lock`);
    if (/^objects\/\.drafts\//.test(file)) found.push(`${file} is a draft`);
    // Of what is written aside and moved into place: keys, notes, sealed values.
    if (/\.draft$|^[a-z]+\.key\.|^installation\.|\.json\.\d+$/.test(file)) found.push(`${file} is a draft`);
    if (/^work\/cmd_/.test(file)) found.push(`${file} is in a command's folder`);
  }
  const work = join(dataDirectory, 'work');
  for (const name of existsSync(work) ? readdirSync(work) : []) {
    if (name.startsWith('cmd_')) found.push(`work/${name} is a command's folder`);
    const [, owner] = /^\.spare-(\d+)-/.exec(name) ?? [];
    if (owner && !existsSync(`/proc/${owner}`)) found.push(`work/${name} is the spare of a process that is gone`);
  }
  return found;
};

const filesIn = (folder: string): string[] =>
  readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ? filesIn(path) : [path];
  });
