import type { Client } from '../../sdk/client.ts';
import type { Firing, NewSchedule, Schedule, ScheduleSummary } from '../../sdk/schedules.ts';
import { asksForWalls, type CommandOptions, toWholeSubmission, UsageError } from '../arguments.ts';
import { idByName } from '../by-name.ts';
import { type Connection, type ConnectOptions, withConnection } from '../connect.ts';
import { commandLine, table } from '../render.ts';
import { moment, timingText, until } from '../schedule-words.ts';
import { plain, say, type Terminal, write } from '../terminal.ts';

export interface ScheduleOptions extends ConnectOptions {
  readonly json?: boolean;
}

/** The options that say when, as they are on add and put. */
export interface AddOptions extends CommandOptions, ScheduleOptions {
  readonly name?: string;
  readonly cron?: string;
  readonly timeZone?: string;
  readonly every?: number;
  readonly at?: string;
  readonly startAt?: string;
  readonly endAt?: string;
  readonly jitter?: number;
  readonly overlap?: NewSchedule['overlap'];
  readonly catchUp?: NewSchedule['catchUp'];
  readonly onVersion?: number;
}

/** They run nothing, so a process of their own starts no work. */
const OFFLINE = { work: false } as const;

/** Stores a schedule and prints its id alone. */
export const addSchedule = async (
  argv: readonly string[],
  options: AddOptions,
  terminal: Terminal,
): Promise<number> => {
  const schedule = await toSchedule(argv, options, terminal);
  return withClient({ ...options, trySandbox: asksForWalls(options) }, terminal, async ({ client, embedded }) => {
    const made = await client.createSchedule(schedule);
    await write(terminal.stdout, options.json ? `${JSON.stringify(made)}\n` : `${made.id}\n`);
    if (embedded) say(terminal, 'stored; schedules fire while `errand serve` runs, and none does here');
  });
};

/** Puts another in its place. */
export const putSchedule = async (
  given: string,
  argv: readonly string[],
  options: AddOptions,
  terminal: Terminal,
): Promise<number> => {
  const { onVersion } = options;
  const schedule = {
    ...(await toSchedule(argv, options, terminal)),
    ...(onVersion === undefined ? {} : { onVersion }),
  };
  return withClient({ ...options, trySandbox: asksForWalls(options) }, terminal, async ({ client }) => {
    const put = await client.putSchedule(await resolve(client, given), schedule);
    await write(terminal.stdout, options.json ? `${JSON.stringify(put)}\n` : `version ${put.version}\n`);
  });
};

export const listSchedules = (options: ScheduleOptions, terminal: Terminal): Promise<number> =>
  withClient(options, terminal, async ({ client }) => {
    const found: ScheduleSummary[] = [];
    for await (const schedule of client.listSchedules()) found.push(schedule);
    if (options.json) {
      for (const schedule of found) await write(terminal.stdout, `${JSON.stringify(schedule)}\n`);
      return;
    }
    const rows = found
      .toSorted((a, b) => ((a.nextAt[0] ?? '~') < (b.nextAt[0] ?? '~') ? -1 : 1))
      .map((one) => [one.id, plain(one.name), one.state, nextText(one), plain(timingText(one)), commandOf(one)]);
    const head = ['ID', 'NAME', 'STATE', 'NEXT', 'WHEN', 'COMMAND'];
    await write(terminal.stdout, table(head, rows, terminal.stdout.columns));
  });

/** With its next five firings, in words and the time zone of whoever asks. */
export const showSchedule = (given: string, options: ScheduleOptions, terminal: Terminal): Promise<number> =>
  withClient(options, terminal, async ({ client }) => {
    const schedule = await client.getSchedule(await resolve(client, given));
    await write(terminal.stdout, options.json ? `${JSON.stringify(schedule)}\n` : toText(schedule));
  });

/** The last firings, newest first. */
export const showHistory = (given: string, options: ScheduleOptions, terminal: Terminal): Promise<number> =>
  withClient(options, terminal, async ({ client }) => {
    const { history } = await client.getSchedule(await resolve(client, given));
    if (options.json) {
      for (const firing of history) await write(terminal.stdout, `${JSON.stringify(firing)}\n`);
    } else await write(terminal.stdout, historyTable(history));
  });

/** Prints the id of what was submitted. */
export const triggerSchedule = (given: string, options: ScheduleOptions, terminal: Terminal): Promise<number> =>
  withClient(options, terminal, async ({ client }) => {
    const firing = await client.triggerSchedule(await resolve(client, given));
    await write(terminal.stdout, options.json ? `${JSON.stringify(firing)}\n` : `${firing.command}\n`);
  });

const VERBS = { pause: 'pauseSchedule', resume: 'resumeSchedule', remove: 'removeSchedule' } as const;

/** Pauses, resumes or removes them, one after the other. */
export const changeSchedules = (
  verb: keyof typeof VERBS,
  given: readonly string[],
  options: ScheduleOptions,
  terminal: Terminal,
): Promise<number> =>
  withClient(options, terminal, async ({ client }) => {
    for (const one of given) {
      const changed = await client[VERBS[verb]](await resolve(client, one));
      if (options.json && changed) await write(terminal.stdout, `${JSON.stringify(changed)}\n`);
    }
  });

const withClient = async (
  options: ConnectOptions,
  terminal: Terminal,
  use: (connection: Connection) => Promise<void>,
): Promise<number> => {
  await withConnection({ ...options, ...OFFLINE }, terminal, use);
  return 0;
};

const toSchedule = async (argv: readonly string[], options: AddOptions, terminal: Terminal): Promise<NewSchedule> => {
  const { name, cron, timeZone, every, at, startAt, endAt, jitter, overlap, catchUp } = options;
  if ([cron, every, at].filter((one) => one !== undefined).length !== 1) {
    throw new UsageError('Say when, by one of --cron, --every and --at.');
  }
  const given = {
    ...{ name, cron, everySeconds: every, jitterSeconds: jitter, overlap, catchUp },
    // Whoever writes 03:00 means the time here.
    timeZone: timeZone ?? (cron === undefined ? undefined : Intl.DateTimeFormat().resolvedOptions().timeZone),
    ...{ at: toTime('--at', at), startAt: toTime('--start-at', startAt), endAt: toTime('--end-at', endAt) },
  };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...known, command: await toWholeSubmission(argv, options, terminal) };
};

/** `2030-01-01T03:00` is the time here. */
const toTime = (option: string, text: string | undefined): string | undefined => {
  if (text === undefined) return undefined;
  const time = new Date(text);
  if (Number.isNaN(time.getTime()))
    throw new UsageError(`Give ${option} a time such as 2030-01-01T03:00 or …Z for UTC.`);
  return time.toISOString();
};

/** By its name too, where no other has it. */
const resolve = (client: Client, given: string): Promise<string> =>
  idByName(given, { word: 'schedule', prefix: 'sch_' }, client.listSchedules());

const commandOf = ({ command }: ScheduleSummary): string =>
  commandLine({ ...command, shell: String(command['shell'] ?? '/bin/sh') });

const nextText = ({ nextAt: [next] }: ScheduleSummary): string => (next === undefined ? '-' : until(next));

const toText = (schedule: Schedule): string => {
  const { id, name, state, overlap, catchUp, member, version, waiting, nextAt, history } = schedule;
  const facts: readonly (readonly [string, string])[] = [
    ['id', id],
    ['name', plain(name) || '-'],
    ['state', waiting > 0 ? `${state}, ${waiting} waiting` : state],
    ['when', plain(timingText(schedule))],
    ['command', commandOf(schedule)],
    ['target', plain(schedule.command.target)],
    ['overlap', overlap],
    ['catch-up', catchUp],
    ['member', member],
    ['version', String(version)],
  ];
  const width = Math.max(...facts.map(([label]) => label.length));
  const lines = facts.map(([label, value]) => `${label.padEnd(width)}  ${value}\n`);
  const next = nextAt.map((at) => `  ${moment(at)}  (${until(at)})\n`);
  const planned = next.length > 0 ? ['\nnext firings\n', ...next] : [];
  return [...lines, ...planned, ...(history.length > 0 ? ['\n', historyTable(history)] : [])].join('');
};

const historyTable = (history: readonly Firing[]): string => {
  const rows = history.map(({ at, outcome, command, reason, detail, count, manual }) => [
    moment(at),
    `${outcome}${count > 1 ? ` (${count})` : ''}${manual ? ', by hand' : ''}`,
    command ?? '-',
    plain([reason, detail].filter((one) => one !== null).join(': ')),
  ]);
  return table(['FIRED FOR', 'OUTCOME', 'COMMAND', 'WHY'], rows);
};
