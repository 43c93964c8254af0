import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Check } from '../../shared/isolation/checks.ts';
import type { BatteryReport } from '../../shared/isolation/judge.ts';
import { cli } from '../support/cli.ts';
import { canBuildProbes, namesOf } from '../support/probes.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const repository = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

describe('errand doctor', () => {
  test('says what the machine has, and what to do about the rest', async () => {
    const asked = await cli(['doctor'], { dataDirectory: tempDirectory() });
    expect(asked.stdout).toMatch(/CHECK\s+FOUND/);
    expect(asked.stdout).toMatch(/✓\s+node\s+24\./);
    expect(asked.stdout).not.toContain('\u001b');
  });

  test('has a line of JSON for each check, and exits with 1 when something is missing', async () => {
    const { stdout, exit, stderr } = await cli(['doctor', '--json'], { dataDirectory: tempDirectory() });
    const checks = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Check);
    expect(checks.map(({ name }) => name)).toEqual(expect.arrayContaining(['platform', 'node']));
    for (const { status, fix } of checks) if (status !== 'ok') expect(fix).toMatch(/\.$/);
    expect(exit).toBe(checks.some(({ status }) => status === 'missing') ? 1 : 0);
    expect(stderr).toBe('');
  });

  test('refuses a level that does not exist', async () => {
    const { exit, stderr } = await cli(['doctor', '--level', 'moat'], { dataDirectory: tempDirectory() });
    expect([exit, stderr]).toEqual([2, expect.stringContaining('none, process, container, sandbox, microvm')]);
  });
});

describe.skipIf(!canBuildProbes)('errand doctor --isolation', () => {
  beforeAll(() => {
    if (!existsSync(repository('launcher/build/errand-probes')))
      execFileSync(process.execPath, [repository('launcher/probes/build.mjs')]);
  });

  test('attacks a real server, shows what a command can do without walls, and leaves nothing', async () => {
    const dataDirectory = tempDirectory();
    const { stdout, stderr, exit } = await cli(['doctor', '--level', 'none', '--json'], { dataDirectory });
    const report = JSON.parse(stdout) as BatteryReport;
    expect([exit, stderr, report.passed]).toEqual([0, '', true]);
    expect(namesOf(report, 'hit')).toEqual([]);
    expect(namesOf(report, 'broken')).toEqual([]);
    // Nothing holds them at this level; the server itself hands neither its environment nor its open files on.
    expect(namesOf(report, 'open')).toEqual(expect.arrayContaining(['read-data', 'environments', 'fill-folder']));
    expect(namesOf(report, 'held')).toEqual(expect.arrayContaining(['own-environment', 'descriptors']));
    expect(readdirSync(dataDirectory)).toEqual([]);
  });

  test('a level that is not offered is a failure, with what is', async () => {
    const { exit, stderr, stdout } = await cli(['doctor', '--level', 'microvm'], { dataDirectory: tempDirectory() });
    expect([exit, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/can have isolation none.*not microvm/);
  });
});
