import { systemClock, systemRandom } from '../../../machine/system-clock.ts';
import { UsageError } from '../arguments.ts';
import { type ConnectOptions, dataDirectoryOf } from '../connect.ts';
import { backUp, restoreBackup, verifyBackup } from '../embedded.ts';
import { say, type Terminal, write } from '../terminal.ts';
import { VERSION } from '../version.ts';

export interface BackupOptions extends ConnectOptions {
  readonly withoutKeys?: boolean;
  readonly json?: boolean;
}

export interface RestoreOptions extends ConnectOptions {
  readonly queued: 'lost' | 'run';
  readonly takeOver?: boolean;
  readonly keys?: string;
  readonly newKeys?: boolean;
  readonly json?: boolean;
}

/** Backs a data folder of this machine up, whether a server works on it or not. */
export const backup = async (file: string, options: BackupOptions, terminal: Terminal): Promise<number> => {
  requireNoUrl(options);
  const { withoutKeys = false, json } = options;
  const isStream = file === '-';
  if (isStream && terminal.stdout.isTTY) {
    throw new UsageError('A backup is bytes that no terminal shows. Give a file, or pipe it on.');
  }
  const { madeAt, manifest } = await backUp({
    dataDirectory: dataDirectoryOf(options, terminal.env),
    to: isStream ? terminal.stdout : file,
    withoutKeys,
    version: VERSION,
    clock: systemClock,
    random: systemRandom,
  });
  const { commands, unfinished, members } = manifest;
  const bytes = members.reduce((sum, member) => sum + member.bytes, 0);
  const at = new Date(madeAt).toISOString();
  if (!isStream && json)
    await write(terminal.stdout, `${JSON.stringify({ file, madeAt: at, commands, unfinished, bytes })}\n`);
  else if (!isStream)
    await write(terminal.stdout, `${file}: ${commands} commands (${unfinished} unfinished) as of ${at}, verified\n`);
  say(
    terminal,
    withoutKeys
      ? 'what commands were given and wrote is in it in the clear; the keys are not: restore it with --keys'
      : 'whoever reads it can do all that this installation can, and open its secrets: keep it as the data folder itself',
  );
  return 0;
};

export const verify = async (file: string, { json }: BackupOptions, terminal: Terminal): Promise<number> => {
  const { head, manifest } = await verifyBackup(sourceOf(file, terminal));
  const { commands, unfinished, members } = manifest;
  const facts = { file, ...head, commands, unfinished, members: members.length };
  const { madeAt } = head;
  await write(
    terminal.stdout,
    json
      ? `${JSON.stringify(facts)}\n`
      : `intact: ${commands} commands (${unfinished} unfinished) as of ${madeAt}, ${members.length} files\n`,
  );
  return 0;
};

export const restore = async (file: string, options: RestoreOptions, terminal: Terminal): Promise<number> => {
  requireNoUrl(options);
  const { queued, takeOver = false, keys, newKeys, json } = options;
  if (keys !== undefined && newKeys) throw new UsageError('Give either --keys or --new-keys.');
  const dataDirectory = dataDirectoryOf(options, terminal.env);
  const { head, manifest, settled } = await restoreBackup({
    from: sourceOf(file, terminal),
    dataDirectory,
    waitsOn: queued === 'run',
    takesOver: takeOver,
    keys: newKeys ? 'new' : keys,
    clock: systemClock,
    random: systemRandom,
  });
  const { commands } = manifest;
  const { lost, retried, waiting } = settled;
  if (json) {
    const facts = { dataDirectory, madeAt: head.madeAt, commands, ...settled };
    await write(terminal.stdout, `${JSON.stringify(facts)}\n`);
    return 0;
  }
  await write(terminal.stdout, `${dataDirectory}: ${commands} commands as of ${head.madeAt}\n`);
  if (lost > 0)
    say(
      terminal,
      `${lost} that had not ended then are lost: look at \`errand ps -a --status lost\`, and replay what must run`,
    );
  if (retried > 0) say(terminal, `${retried} that ran then will run again, by their retry rule`);
  if (waiting > 0) say(terminal, `${waiting} that waited then will run, also those that have run since`);
  say(
    terminal,
    'what was changed since is as it was: keys and members that were removed are good again, unless you remove them',
  );
  return 0;
};

const sourceOf = (file: string, { stdin }: Terminal): string | Terminal['stdin'] => (file === '-' ? stdin : file);

/** A backup is of files, which no server hands out. */
const requireNoUrl = ({ url }: ConnectOptions): void => {
  if (url === undefined) return;
  throw new UsageError('This works on a data folder of this machine: give --data, not --url, and run it there.');
};
