/**
 * Makes the npm package of the client: `node clients/sdk/pack.mjs FOLDER`, then `npm publish FOLDER`. One module for
 * browsers and Node alike, its types from the contract, and the versions of this repository.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { build } from 'esbuild';

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write('usage: node clients/sdk/pack.mjs FOLDER\n');
  process.exit(2);
}

const here = import.meta.dirname;
const root = join(here, '../..');
const whole = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
/** Of terminals alone: ws, loaded in Node when the first is attached to. Zod is there for its types only, of which those of the contract are made. */
const dependencies = Object.fromEntries(
  ['eventsource-parser', 'ws', 'zod'].map((name) => [name, `^${whole.dependencies[name]}`]),
);

rmSync(join(folder, 'dist'), { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

await build({
  entryPoints: [join(here, 'index.ts')],
  outfile: join(folder, 'dist/index.js'),
  bundle: true,
  packages: 'external',
  format: 'esm',
  platform: 'neutral',
  target: 'es2022',
});

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const types = join(folder, 'dist/types');
execFileSync(process.execPath, [tsc, '-p', here, '--outDir', types], { stdio: 'inherit' });

const manifest = {
  name: 'errand-sdk',
  version: whole.version,
  description: 'The client of Errand: run commands somewhere else, and read what they say while they say it.',
  license: whole.license,
  type: 'module',
  engines: { node: '>=22.12' },
  sideEffects: false,
  exports: { '.': { types: './dist/types/clients/sdk/index.d.ts', default: './dist/index.js' } },
  files: ['dist'],
  dependencies,
};
writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
copyFileSync(join(root, 'docs/sdk.md'), join(folder, 'README.md'));
