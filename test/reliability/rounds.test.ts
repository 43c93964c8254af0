import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { missingForDisk } from './disk/recording-disk.ts';
import { kills } from './kills.ts';
import { powerCuts } from './power-cuts.ts';
import { type Harm, runRounds } from './rounds.ts';

const PROJECT = join(import.meta.dirname, '..', '..');
const needs = missingForDisk.length > 0 ? ` (needs ${missingForDisk.join(', ')})` : '';

const after = async (rounds: number, harm: (folder: string) => Harm, patienceMs?: number) => {
  // Its record of the disk has the keys in it too.
  const folder = mkdtempSync(join(tmpdir(), 'errand-rounds-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const options = { rounds, seed: Date.now() % 1_000_000, folder, root: PROJECT, port: await freePort() };
  return runRounds({ ...options, ...(patienceMs === undefined ? {} : { patienceMs }) }, harm(folder));
};

describe.skipIf(process.platform !== 'linux')('a server that callers keep busy', () => {
  test('killed at any moment, 15 times, loses nothing that it acknowledged, and leaves nothing behind', async () => {
    const report = await after(15, (folder) => kills(join(folder, 'data')));
    expect(report.findings, report.text()).toEqual([]);
    expect(Math.max(...report.starts.map(({ cpuMs }) => cpuMs))).toBeLessThan(2_000);
  });
});

describe.skipIf(missingForDisk.length > 0)(`a server whose power fails${needs}`, () => {
  test('at any moment, 8 times, loses nothing that it acknowledged', async () => {
    const report = await after(8, (folder) => powerCuts({ folder }));
    expect(report.findings, report.text()).toEqual([]);
  });

  test.for(['files', 'folders'] as const)(
    'is found to lose something when its disk does not sync %s',
    async (ignores) => {
      const report = await after(6, (folder) => powerCuts({ folder, ignores }));
      expect(report.findings.length, report.text()).toBeGreaterThan(0);
    },
  );
});
