import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePort } from '../support/free-port.ts';
import { kills } from './kills.ts';
import { powerCuts } from './power-cuts.ts';
import { runRounds } from './rounds.ts';

/* `npm run kill-rounds -- --rounds 500`: docs/reliability.md says what it does, and what came of it. */
const USAGE = `usage: npm run kill-rounds -- [--harm kill|power] [--rounds N] [--seed N] [--launcher native|node]
                              [--ignores files|folders] [--keep]`;
const PROJECT = join(import.meta.dirname, '..', '..');
const SOURCES = ['clients', 'functions', 'local', 'machine', 'runner', 'shared', 'package.json'];

/** Where there is no compiler, Node's helpers start commands: a copy of the project without what was built is such a place. */
const withoutNativeLauncher = (folder: string): string => {
  const root = join(folder, 'project');
  mkdirSync(root);
  for (const name of SOURCES) cpSync(join(PROJECT, name), join(root, name), { recursive: true });
  symlinkSync(join(PROJECT, 'node_modules'), join(root, 'node_modules'));
  return root;
};

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      harm: { type: 'string', default: 'kill' },
      rounds: { type: 'string', default: '500' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      launcher: { type: 'string', default: 'native' },
      ignores: { type: 'string' },
      keep: { type: 'boolean', default: false },
    },
  });
  const { ignores } = values;
  if (ignores !== undefined && ignores !== 'files' && ignores !== 'folders') throw new Error(`--ignores ${ignores}?`);
  if (values.harm !== 'kill' && values.harm !== 'power') throw new Error(`--harm ${values.harm}?`);
  const folder = mkdtempSync(join(tmpdir(), 'errand-kill-rounds-'));
  const root = values.launcher === 'node' ? withoutNativeLauncher(folder) : PROJECT;
  say(`seed ${values.seed}, in ${folder}`);
  const harm =
    values.harm === 'kill' ? kills(join(folder, 'data')) : powerCuts({ folder, ...(ignores ? { ignores } : {}) });
  const options = {
    rounds: Number(values.rounds),
    seed: Number(values.seed),
    folder,
    root,
    port: await freePort(),
    say,
  };
  const report = await runRounds(options, harm);
  process.stdout.write(`${report.text()}\n`);
  if (report.findings.length > 0) return 1;
  if (!values.keep) rmSync(folder, { recursive: true, force: true });
  return 0;
};

process.exitCode = await main().catch((error: unknown) => {
  say(`${(error as Error).stack}\n\n${USAGE}`);
  return 2;
});
