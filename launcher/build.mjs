/*
 * Builds the native launcher with the compiler that is there. `npm ci` runs it (--if-possible: a machine without a compiler
 * gets the slower launcher, and one line that says so); `npm run build:launcher` fails loudly.
 *
 * Plain JavaScript for the machine's own Node, whatever that is.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildProbes } from './probes/build.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const options = process.argv.slice(2);
const ifPossible = options.includes('--if-possible');
const isStrict = options.includes('--strict') || Boolean(process.env.CI);
const sanitize = options.includes('--sanitize');
const output =
  options.find((option) => option.startsWith('--output='))?.slice('--output='.length) ?? join(here, 'build');

const FLAGS = [
  '-std=c11',
  '-O2',
  '-Wall',
  '-Wextra',
  '-Wshadow',
  '-Wformat=2',
  '-fstack-protector-strong',
  '-fPIE',
  '-pie',
  '-Wl,-z,relro,-z,now,-z,noexecstack',
];
/** Not with the sanitizers, which do the same and more. */
const FORTIFY = ['-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2'];
const SANITIZE = ['-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'];

const say = (text) => process.stdout.write(`launcher: ${text}\n`);

const findCompiler = () => {
  const candidates = process.env.CC ? [process.env.CC] : ['cc', 'gcc', 'clang'];
  return candidates.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
};

/** What went wrong, or undefined. */
const build = () => {
  if (process.platform !== 'linux') return 'it is for Linux only';
  const compiler = findCompiler();
  if (!compiler) return 'no C compiler was found (install gcc or clang, and the C library’s headers)';
  const sourcesIn = (folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.c'))
      .map((name) => join(folder, name));
  const own = sourcesIn(here);
  // Its driver is a program of its own.
  const boxes = sourcesIn(join(here, 'box')).filter((path) => !path.endsWith('box-main.c'));
  mkdirSync(output, { recursive: true });
  // Under a name of its own until it is whole: several may build at once, and one may be running.
  const unfinished = join(output, `.errand-launcher-${process.pid}`);
  const flags = [...FLAGS, ...(sanitize ? SANITIZE : FORTIFY), ...(isStrict ? ['-Werror'] : [])];
  const compile = (...more) => spawnSync(compiler, [...flags, '-o', unfinished, ...more, ...own], { encoding: 'utf8' });
  let made = compile(...boxes);
  // An old system's headers, or another processor's numbers of system calls: all but the sandboxes works there.
  const hasBoxes = made.status === 0;
  if (!hasBoxes && !isStrict) made = compile('-DWITHOUT_BOXES');
  if (made.status !== 0) {
    rmSync(unfinished, { force: true });
    return `${compiler} failed:\n${made.stderr || made.error?.message}`;
  }
  renameSync(unfinished, join(output, 'errand-launcher'));
  say(`built with ${compiler}${hasBoxes ? '' : ', without isolation sandbox: what that needs did not compile'}`);
  // For errand doctor; nothing else is missing without them.
  const probesFault = sanitize ? undefined : buildProbes({ compiler, output, strict: isStrict });
  if (probesFault !== undefined) say(`the probes of errand doctor were not built: ${probesFault}`);
  return undefined;
};

let fault;
try {
  fault = build();
} catch (error) {
  fault = error.message;
}
if (fault !== undefined) {
  const [first, ...rest] = fault.split('\n');
  say(
    ifPossible ? `not built, commands will start more slowly: ${first}` : `not built: ${[first, ...rest].join('\n')}`,
  );
  if (!ifPossible) process.exitCode = 1;
}
