import { AppError } from '../../domain/errors.ts';

/** SQLite's primary result codes (https://www.sqlite.org/rescode.html), as far as a person can do something. */
const ADVICE: Readonly<Record<number, string>> = {
  5: 'Another process has held it for too long; try again.',
  8: 'Make the folder and its files writable for this user.',
  // Also what SQLite says when a full disk keeps it from growing the shared index of its log.
  10: 'The disk failed a read or a write: see whether it is full, and look at the system log.',
  11: 'The file is damaged: put a backup in its place, or choose another folder with --data.',
  13: 'The disk is full: free some space; nothing that was acknowledged is lost.',
  14: 'See that the folder exists and is writable for this user, or choose another with --data.',
  26: 'The file is no database: choose another folder with --data.',
};
const BUSY = 5;

const UNUSABLE = {
  missing:
    'It is missing or empty, though it was there before; a new one would hide what is lost. ' +
    'Put it back, or choose another folder with --data.',
  moved:
    'It was removed or moved while it was in use: what is stored now would not be found again. ' +
    'Put it back, and start again.',
  'not-synced':
    'The disk failed to keep what was written to it. Nothing more is stored, so that nothing is lost in silence: ' +
    'look at the system log for what ails the disk, then start again.',
} as const;

/** It stays so until a person does something and starts the program again. */
export class StoreUnusable extends Error {
  override readonly name = 'StoreUnusable';

  constructor(why: keyof typeof UNUSABLE, options?: ErrorOptions) {
    super(UNUSABLE[why], options);
  }
}

/** Another process holds a lock that this one needs, for now. */
export const isBusy = (error: unknown): boolean => resultCode(error) === BUSY;

/** What the callers of the store get to see of a failure. */
export const toUnavailable = (file: string, cause: unknown): AppError =>
  new AppError('unavailable', `The store ${file} cannot be used right now: ${explain(cause)}`, { cause });

/** For the person who starts the program. */
export const toOpenError = (file: string, cause: unknown): Error =>
  new Error(`The store ${file} cannot be opened: ${explain(cause)}`, { cause });

const explain = (error: unknown): string => {
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof StoreUnusable) return reason;
  // What was written as JSON is none any more.
  if (error instanceof SyntaxError) return `an item of it cannot be read. ${ADVICE[11]}`;
  const advice = ADVICE[resultCode(error) ?? 0] ?? 'Try again, or choose another folder with --data.';
  return `${reason}. ${advice}`;
};

/** The primary code is the low byte of the extended one. */
const resultCode = (error: unknown): number | undefined => {
  const { errcode } = error as { errcode?: number };
  return errcode === undefined ? undefined : errcode & 0xff;
};
