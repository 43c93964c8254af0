import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { helpersOf } from '../support/processes.ts';
import type { Dice } from './dice.ts';
import { differences } from './disk/differences.ts';
import { type DiskModel, modelDisk } from './disk/model.ts';
import { readRecord } from './disk/record.ts';
import { recording } from './disk/recording-disk.ts';
import { throwMoment } from './kills.ts';
import type { Harm } from './rounds.ts';

export interface PowerCutOptions {
  /** Where it may write. */
  readonly folder: string;
  /** The syncs that the disk says it did and did not do. @default none: it keeps its word */
  readonly ignores?: 'files' | 'folders';
}

/** Not recorded: the launcher makes and removes the folders of commands, and none of them is meant to last. */
const isWork = (path: string): boolean => /\/data\/work(\/|$)/.test(path);

/**
 * Cuts the power: all processes are gone, and the disk holds what was synced and, of the rest, what chance has left. The next start
 * has that, and nothing else.
 */
export const powerCuts = ({ folder, ignores }: PowerCutOptions): Harm => {
  const disk = join(folder, 'disk');
  const record = join(folder, 'record');
  // Two folders that the server has to make, as in a home folder that is new.
  const dataDirectory = join(disk, 'home', 'data');
  const before = join(folder, 'before');
  const ownerKey = join(dataDirectory, 'owner.key');
  mkdirSync(disk, { recursive: true });
  mkdirSync(before);
  let key: string | undefined;

  const replay = (): DiskModel => {
    const model = modelDisk({ root: disk, from: before, ignores, isOutside: isWork });
    for (const change of existsSync(record) ? readRecord(record) : []) model.apply(change);
    return model;
  };
  const cut = (dice: Dice): void => {
    const model = replay();
    for (const path of [disk, before]) rmSync(path, { recursive: true });
    rmSync(record, { force: true });
    model.cut(before, dice.fork());
    cpSync(before, disk, { recursive: true });
  };
  return {
    dataDirectory,
    env: recording(disk, record),
    async strike(server, dice) {
      const { afterMs } = throwMoment(dice);
      const from = dice.chance(0.3) ? 'start' : 'serving';
      if (from === 'serving') await server.serves;
      await sleep(afterMs);
      const helpers = helpersOf(server.process.pid ?? 0);
      server.process.kill('SIGKILL');
      await server.gone;
      // They end what they have started, and leave: nothing goes on when the power is off.
      while (helpers.some((pid) => existsSync(`/proc/${pid}`))) await sleep(5);
      // Whoever it has served may know it.
      if ((await server.serves) !== undefined) key ??= readFileSync(ownerKey, 'utf8');
      cut(dice);
      return { how: `power cut, from ${from}` };
    },
    quiet: async () =>
      key === undefined || readFileSync(ownerKey, 'utf8') === key ? [] : ['the owner has another key than before'],
    stopped(dice) {
      const whole = join(folder, 'whole');
      replay().whole(whole);
      const unlike = differences(whole, disk, isWork);
      rmSync(whole, { recursive: true });
      if (unlike.length > 0) throw new Error(`What was recorded is not what is there: ${unlike.join(', ')}`);
      cut(dice);
    },
  };
};
