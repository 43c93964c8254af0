import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';
import type { LaunchEnd, LaunchSpec } from './frames.ts';

/** What a machine has too little of right now; the same start may succeed later. */
const SHORTAGES: readonly (string | undefined)[] = ['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE', 'ENOSPC'];

/** Why the folder that a command was to work in cannot be; undefined when it can. */
export const folderFault = (path: string): LaunchEnd | undefined => {
  const problem = folderProblem(path);
  return problem === undefined
    ? undefined
    : notExecuted(126, `The folder ${path} cannot be worked in: ${problem}. Give one that exists as cwd, or none.`);
};

const folderProblem = (path: string): string | undefined => {
  try {
    if (!statSync(path).isDirectory()) return 'it is not a folder';
    accessSync(path, constants.X_OK);
    return undefined;
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? 'it does not exist' : messageOf(error);
  }
};

export const workFolderFault = (error: unknown): LaunchEnd => ({
  kind: 'rejected',
  detail: `The work folder could not be made: ${messageOf(error)}`,
  retryable: true,
});

/** As shells do: 127 for a program that is not there, 126 for one that cannot be executed. */
export const programFault = (spec: LaunchSpec, error: unknown): LaunchEnd => {
  const [program] = spec.argv;
  const code = codeOf(error);
  if (SHORTAGES.includes(code)) {
    return { kind: 'rejected', detail: `No process could be made: ${messageOf(error)}`, retryable: true };
  }
  if (code === 'ENOENT') return notExecuted(127, notFoundDetail(spec));
  if (code === 'E2BIG') {
    const detail = `The program ${program} could not be executed: its arguments and variables are too large together. Send large input on stdin.`;
    return notExecuted(126, detail);
  }
  if (code === 'EACCES' || code === 'EPERM') {
    const detail = `The program ${program} was found, but may not be executed. Is it a file with the right to execute (chmod +x)?`;
    return notExecuted(126, detail);
  }
  return notExecuted(126, `The program ${program} could not be executed: ${messageOf(error)}.`);
};

const notExecuted = (exitCode: number, detail: string): LaunchEnd => ({
  kind: 'ended',
  exitCode,
  signal: null,
  detail,
});

const notFoundDetail = ({ argv: [program], env, cwd, workDirectory }: LaunchSpec): string => {
  const path = env['PATH'] ?? '';
  const folders = program.includes('/') ? [''] : path.split(delimiter);
  // The file is there: what is not is the one that its first line names.
  if (program !== '' && folders.some((folder) => isFile(resolve(cwd ?? workDirectory, folder, program)))) {
    return `The interpreter that the first line of ${program} names was not found. Correct that line, or run the interpreter itself.`;
  }
  return program.includes('/')
    ? `The program ${program} was not found. Check the path; a relative one starts at cwd.`
    : `The program ${program} was not found on the PATH ${path}. Give its full path, or set PATH in env.`;
};

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
