import { execFile, execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

/* What measures is in C, since it shares the cores with what is measured. */

const BASELINE_MS = 500;

/** The path of the program made of a file of this folder. @throws Error in words for a person when there is no compiler */
export const compileC = (file: string, directory: string): string => {
  const program = join(directory, file.replace('.c', ''));
  try {
    execFileSync('cc', ['-O2', '-o', program, join(import.meta.dirname, file)], { stdio: 'pipe' });
  } catch (error) {
    throw new Error(`bench/${file} cannot be compiled. Needed: apt-get install -y gcc libc6-dev`, { cause: error });
  }
  return program;
};

/** What a program writes. @throws Error with what it says on standard error when it fails */
export const outputOf = (
  program: string,
  args: readonly (string | number)[],
  { input = '', signal }: { readonly input?: string; readonly signal?: AbortSignal | undefined } = {},
): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = execFile(program, args.map(String), { signal }, (error, stdout, stderr) =>
      error ? reject(new Error(stderr.trim() || error.message, { cause: error })) : resolve(stdout),
    );
    child.stdin?.end(input);
  });

/** Measures R: how often a second this machine starts /bin/true and sees its end, on all cores, with nothing around it. */
export const makeBaseline = (directory: string, signal?: AbortSignal): (() => Promise<number>) => {
  const program = compileC('baseline.c', directory);
  return async () => Number(await outputOf(program, [availableParallelism(), BASELINE_MS], { signal }));
};
