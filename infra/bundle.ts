import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, buildSync, type Metafile } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** A function's code, as Lambda is given it. */
export interface Bundle {
  /** The folder to deploy. Its entry is `index.mjs`, which exports `handler`. */
  readonly directory: string;
  readonly metafile: Metafile;
}

const OPTIONS = {
  absWorkingDir: ROOT,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  // The form of the SDKs of which what is not used can be left out.
  mainFields: ['module', 'main'],
  outExtension: { '.js': '.mjs' },
  minify: true,
  sourcemap: 'linked',
  sourcesContent: false,
  legalComments: 'none',
  metafile: true,
  logLevel: 'error',
  // Only the embedded server has targets of it.
  external: ['dockerode'],
  alias: { '@aws-sdk/credential-provider-node': './functions/role-credentials.ts' },
  // What packages of the older kind of module expect to find.
  banner: {
    js: [
      "import { createRequire as errandRequire } from 'node:module';",
      'const require = errandRequire(import.meta.url);',
      'const { dirname: __dirname, filename: __filename } = import.meta;',
    ].join(' '),
  },
} as const satisfies BuildOptions;

/** The sources do not change while a program runs: an app that is made again finds what was bundled for the first. */
const bundled = new Map<string, Bundle>();

/** What is imported lazily comes to lie in files of its own, loaded when needed. */
const bundleInto = (directory: string, entryPoints: Readonly<Record<string, string>>): Bundle => {
  const before = bundled.get(directory);
  if (before) return before;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const { metafile } = buildSync({
    ...OPTIONS,
    entryPoints: { ...entryPoints },
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    outdir: directory,
  });
  const bundle = { directory, metafile };
  bundled.set(directory, bundle);
  return bundle;
};

/** The helper process of the launcher, which is started as a program of its own. */
const LAUNCHER = { helper: 'shared/providers/local/helper.ts' };

/** Starts the executor's runtime without the credentials of its role. */
const WRAPPER = 'infra/executor/exec-wrapper.sh';

/** Bundles one entry of functions/entries. */
export const bundleFunction = (name: string, outputDirectory: string): Bundle => {
  const isExecutor = name === 'execute';
  const entryPoints = { index: `functions/entries/${name}.ts`, ...(isExecutor ? LAUNCHER : {}) };
  const bundle = bundleInto(join(outputDirectory, name), entryPoints);
  if (isExecutor) copyFileSync(join(ROOT, WRAPPER), join(bundle.directory, 'exec-wrapper.sh'));
  // Jobs mount it from a bucket, which the function fills.
  if (name === 'prepare-target') bundleRunner(join(bundle.directory, 'runner'));
  return bundle;
};

/** Bundles the runner for images: `runner.mjs` and the launcher's helper beside it. */
export const bundleRunner = (directory: string): Bundle =>
  bundleInto(directory, { runner: 'runner/main.ts', ...LAUNCHER });

/** Bundles what a MicroVM's image holds: the keeper, and beside it the runner that it starts. */
export const bundleMicrovm = (directory: string): Bundle =>
  bundleInto(directory, { keeper: 'runner/microvm/main.ts', runner: 'runner/main.ts', ...LAUNCHER });
