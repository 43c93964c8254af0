import * as z from 'zod';
import type { Deps } from '../app/deps.ts';
import { waitForCommand } from '../app/wait-for-command.ts';
import { type Command, isFinal } from '../domain/command.ts';
import type { Watch } from '../events/changes.ts';
import type { Call } from './tool.ts';

/** Clients give up after a minute, most of them; an answer has to be there before. */
const MOST_WAIT_SECONDS = 45;
const PROGRESS_SECONDS = 5;

export const waitSecondsOf = (usual: number) =>
  z
    .int()
    .min(0)
    .max(MOST_WAIT_SECONDS)
    .default(usual)
    .describe(`How long to wait for the end. Default ${usual}. It goes on, however long this call waits.`);

/**
 * The command once it has ended, or as it is after so long, or when the client is gone. Progress is told by time, so that a client
 * that counts silence hears something.
 * @param watch as for `waitForCommand`
 */
export const waitWithProgress = async (
  deps: Deps,
  { mostWaitSeconds, signal, progress }: Call,
  command: Command,
  waitSeconds: number,
  watch?: Watch,
): Promise<Command> => {
  const began = deps.clock.now();
  const until = began + Math.min(waitSeconds, mostWaitSeconds) * 1_000;
  let latest = command;
  let begun = watch;
  for (;;) {
    const seconds = Math.max(0, Math.min(PROGRESS_SECONDS, (until - deps.clock.now()) / 1_000));
    const waiting = waitForCommand(deps, latest, seconds, begun);
    latest = (await Promise.race([waiting, aborted(signal)])) ?? latest;
    begun = undefined;
    if (isFinal(latest.status) || signal.aborted || deps.clock.now() >= until) return latest;
    const waited = Math.round((deps.clock.now() - began) / 1_000);
    await progress(waited, `${latest.id} is ${latest.status}, after ${waited} s of waiting`);
  }
};

const aborted = (signal: AbortSignal): Promise<undefined> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
