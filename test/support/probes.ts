import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { BatteryReport, Finding, Outcome } from '../../shared/isolation/judge.ts';
import type { BatteryOrder } from './programs/run-battery.ts';

const BUILD = fileURLToPath(new URL('../../launcher/probes/build.mjs', import.meta.url));
const RUN_BATTERY = fileURLToPath(new URL('./programs/run-battery.ts', import.meta.url));
/** Nobody, on every system. */
const PLAIN_USER = 65_534;

export const isRoot = process.getuid?.() === 0;
const canRun = (file: string, ...args: string[]): boolean => spawnSync(file, args, { stdio: 'ignore' }).status === 0;
export const canBuildProbes =
  process.platform === 'linux' && ['cc', 'gcc', 'clang'].some((name) => canRun(name, '--version'));
/** Whether another user may read these sources. */
export const canBePlain =
  !isRoot ||
  spawnSync(process.execPath, ['--input-type=module', '-e', `await import(${JSON.stringify(RUN_BATTERY)})`], {
    uid: PLAIN_USER,
    gid: PLAIN_USER,
    env: { HOME: '/' },
  }).status === 64;
export const canUnshare = canRun('unshare', ...(isRoot ? [] : ['-r']), '-m', 'true');
export const canBubblewrap = canRun('bwrap', '--unshare-all', '--ro-bind', '/', '/', 'true');

/** Builds the probes with every warning an error, for all of a test file. */
export const buildProbes = (): { program: string; remove: () => void } => {
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  chmodSync(folder, 0o755);
  execFileSync(process.execPath, [BUILD, '--strict', `--output=${folder}`]);
  return { program: join(folder, 'errand-probes'), remove: () => rmSync(folder, { recursive: true }) };
};

export type TestUser = 'root' | 'a plain user';

/** Runs the battery in a process of its own, which is its server: with its secrets, as the given user. */
export const runBatteryAs = (
  user: TestUser,
  order: Omit<BatteryOrder, 'folder'>,
): { report: BatteryReport; folder: string } => {
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const home = join(folder, 'home');
  mkdirSync(home);
  const becomes = user === 'root' || !isRoot ? {} : { uid: PLAIN_USER, gid: PLAIN_USER };
  if ('uid' in becomes) execFileSync('chown', ['-R', `${PLAIN_USER}:${PLAIN_USER}`, folder]);
  const given: BatteryOrder = { ...order, folder };
  const { status, stdout, stderr } = spawnSync(process.execPath, [RUN_BATTERY, JSON.stringify(given)], {
    ...becomes,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: home },
  });
  if (status !== 0) throw new Error(`The battery ended with ${status}: ${stderr}`);
  return { report: JSON.parse(stdout) as BatteryReport, folder };
};

/** The names of the probes with this outcome at the first level. */
export const namesOf = ({ levels }: BatteryReport, outcome: Outcome): string[] =>
  (levels[0]?.findings ?? []).filter((finding) => finding.outcome === outcome).map(({ name }) => name);

export const findingOf = ({ levels }: BatteryReport, name: string): Finding | undefined =>
  levels[0]?.findings.find((finding) => finding.name === name);

/** A file that every user may read. */
export const publicFile = (bytes: Uint8Array): string => {
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  chmodSync(folder, 0o755);
  const path = join(folder, 'file');
  writeFileSync(path, bytes, { mode: 0o644 });
  return path;
};
