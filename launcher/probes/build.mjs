/*
 * Builds the probes of `errand doctor --isolation`. The launcher's build calls buildProbes; alone:
 * node launcher/probes/build.mjs [--if-possible] [--strict] [--output=FOLDER].
 *
 * Plain JavaScript for the machine's own Node, whatever that is.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

const FLAGS = ['-std=gnu11', '-D_GNU_SOURCE', '-Os', '-s', '-Wall', '-Wextra', '-Wshadow', '-Wformat=2'];

const findCompiler = () => {
  const candidates = process.env.CC ? [process.env.CC] : ['cc', 'gcc', 'clang'];
  return candidates.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
};

/**
 * What went wrong, or undefined. One file, which needs nothing of the place where it runs: a command gets it as its input,
 * writes it to its own folder and executes it, as an attacker would. Without a static C library it is linked the usual way,
 * and works where the system's libraries can be seen.
 */
export const buildProbes = ({ compiler = findCompiler(), output, strict = false }) => {
  if (process.platform !== 'linux') return 'they are for Linux only';
  if (!compiler) return 'no C compiler was found (install gcc or clang, and the C library’s headers)';
  const sources = readdirSync(here)
    .filter((name) => name.endsWith('.c'))
    .map((name) => join(here, name));
  mkdirSync(output, { recursive: true });
  // Under a name of its own until it is whole: several may build at once.
  const unfinished = join(output, `.errand-probes-${process.pid}`);
  const compile = (more) =>
    spawnSync(compiler, [...FLAGS, ...(strict ? ['-Werror'] : []), ...more, '-o', unfinished, ...sources, '-lrt'], {
      encoding: 'utf8',
    });
  let made = compile(['-static']);
  if (made.status !== 0) made = compile([]);
  if (made.status !== 0) {
    rmSync(unfinished, { force: true });
    return `${compiler} failed:\n${made.stderr || made.error?.message}`;
  }
  renameSync(unfinished, join(output, 'errand-probes'));
  return undefined;
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = process.argv.slice(2);
  const given = options.find((option) => option.startsWith('--output='));
  const output = given ? given.slice('--output='.length) : join(here, '..', 'build');
  const fault = buildProbes({ output, strict: options.includes('--strict') || Boolean(process.env.CI) });
  process.stdout.write(fault ? `probes: not built: ${fault}\n` : `probes: built\n`);
  if (fault && !options.includes('--if-possible')) process.exitCode = 1;
}
