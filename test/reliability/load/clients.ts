import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../../clients/sdk/client.ts';
import { ApiError, ConnectionError } from '../../../clients/sdk/errors.ts';
import type { CommandView } from '../../../shared/contract/schemas.ts';
import type { Dice } from '../dice.ts';
import type { Entry, Journal } from './journal.ts';
import type { Scenario } from './scenarios.ts';

export interface LoadOptions {
  readonly client: Client;
  readonly journal: Journal;
  readonly dice: Dice;
  readonly inFlight: number;
  /** What the next caller does. */
  readonly next: (dice: Dice) => Scenario;
}

export interface Load {
  /**
   * Begins no more commands, and resolves once each caller has what it wanted, or has waited in vain for so long. The
   * server must be there to say it.
   */
  stop(patienceMs: number): Promise<void>;
}

const PAUSE_MS = 50;

/**
 * So many callers at once, each with one command after another. Whoever is not answered asks again with the same key,
 * however long the server is away.
 */
export const startLoad = ({ client, journal, dice, inFlight, next }: LoadOptions): Load => {
  const patience: Patience = { until: Number.POSITIVE_INFINITY };
  let stopping = false;
  const caller = async (own: Dice): Promise<void> => {
    while (!stopping) {
      const scenario = next(own);
      const entry = journal.open(scenario);
      await play({ client, journal, patience }, entry).catch((error: unknown) => {
        entry.surprise = (error as Error).message;
      });
    }
  };
  const callers = Promise.all(Array.from({ length: inFlight }, () => caller(dice.fork())));
  return {
    async stop(patienceMs) {
      stopping = true;
      patience.until = Date.now() + patienceMs;
      await callers;
    },
  };
};

/** Until when callers ask again. */
interface Patience {
  until: number;
}

interface Stage extends Pick<LoadOptions, 'client' | 'journal'> {
  readonly patience: Patience;
}

const play = async (stage: Stage, entry: Entry): Promise<void> => {
  const { client, journal, patience } = stage;
  const { n, submission, caller } = entry.scenario;
  const key = `key-${n}`;
  const submit = (): Promise<CommandView> =>
    client.submit(submission, {
      idempotencyKey: key,
      ...(caller.waitSeconds === undefined ? {} : { waitSeconds: caller.waitSeconds }),
    });
  if (caller.leavesAfterMs !== undefined) {
    const signal = AbortSignal.timeout(caller.leavesAfterMs);
    await client.submit(submission, { idempotencyKey: key, signal }).then(
      (view) => journal.told(entry, view),
      () => journal.note(entry, 'left'),
    );
    return;
  }
  const views = await Promise.all(Array.from({ length: caller.twice ? 2 : 1 }, () => untilAnswered(submit, patience)));
  for (const view of views) journal.told(entry, view);
  const [{ id }] = views as [CommandView];
  if (caller.cancelsAfterMs !== undefined) {
    await sleep(caller.cancelsAfterMs);
    await cancel(stage, entry, id);
  }
  if (caller.input) await sendInput(stage, id, caller.input);
  if (caller.follows) await follow(stage, entry, id);
  // Half of the callers stay until the end, and look at it.
  for (let looks = 0; n % 2 === 0 && looks < 100; looks++) {
    const view = await untilAnswered(() => client.get(id, { waitSeconds: 1 }), patience);
    journal.told(entry, view);
    if (view.endedAt !== null) return;
  }
};

/** Away, full, or about to stop: ask again. Anything else is a finding of its own. */
const untilAnswered = async <T>(ask: () => Promise<T>, patience: Patience): Promise<T> => {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isAway(error) || Date.now() > patience.until) throw error;
      await sleep(PAUSE_MS);
    }
  }
};

const isAway = (error: unknown): boolean =>
  error instanceof ConnectionError ||
  (error instanceof ApiError && ([429, 502, 503, 504].includes(error.status) || isOfGateway(error)));

/** API Gateway's own answer, when a function was killed in the middle of a request. */
const isOfGateway = ({ status, message }: ApiError): boolean =>
  status === 500 && message.includes('but not as Errand does');

const cancel = async ({ client, journal, patience }: Stage, entry: Entry, id: string): Promise<void> => {
  try {
    const view = await untilAnswered(() => client.cancel(id), patience);
    journal.told(entry, view);
    entry.canceled = view.status === 'canceled' && view.startedAt === null ? 'before its start' : 'later';
    journal.note(entry, `cancel: ${entry.canceled}`);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 'already-final') throw error;
  }
};

/** The command may be lost meanwhile, and take no more. */
const sendInput = async ({ client, patience }: Stage, id: string, parts: readonly Buffer[]): Promise<void> => {
  let from = 0;
  try {
    for (const part of parts) {
      await untilAnswered(() => client.writeStdin(id, part, from), patience);
      from += part.length;
    }
    await untilAnswered(() => client.endStdin(id), patience);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 409) throw error;
  }
};

const follow = async ({ client, journal }: Stage, entry: Entry, id: string): Promise<void> => {
  const pieces: Uint8Array[] = [];
  try {
    for await (const event of client.follow(id)) {
      if (event.type === 'stdout') pieces.push(event.bytes);
      if (event.type !== 'end') continue;
      journal.told(entry, event.command);
      entry.followed = Buffer.concat(pieces);
    }
  } catch (error) {
    if (!isAway(error)) throw error;
    journal.note(entry, 'followed no further');
  }
};
