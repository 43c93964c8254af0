import { readFileSync } from 'node:fs';
import type { Client } from '../../../clients/sdk/client.ts';
import type { CommandSummary, CommandView } from '../../../shared/contract/schemas.ts';
import { type Entry, finalOf } from './journal.ts';
import { hashOf } from './scenarios.ts';

export interface Verdict {
  /** A sentence for each promise that was broken. */
  readonly findings: readonly string[];
  readonly byStatus: Readonly<Record<string, number>>;
}

/** A view holds so much of each stream. */
const TEXT_BYTES = 64 * 1024;
const AT_ONCE = 16;

export interface JudgeOptions {
  /** Where commands wrote that they ran. */
  readonly ran: string;
  /** For what is not final yet, all together. */
  readonly patienceMs: number;
}

/** Holds what is there now against the journal, once nothing is killed any more. Knows nothing of how the server does it. */
export const judge = async (
  client: Client,
  entries: readonly Entry[],
  { ran, patienceMs }: JudgeOptions,
): Promise<Verdict> => {
  const findings: string[] = [];
  const byStatus: Record<string, number> = {};
  const listed = await commandsByNumber(client, new Set(entries.map(({ n }) => n)));
  const until = Date.now() + patienceMs;
  const seen = await atOnce(entries, async (entry): Promise<Seen> => {
    const ids = new Set([...entry.ids, ...(listed.get(entry.n) ?? []).map(({ id }) => id)]);
    const say = (what: string): void => void findings.push(`${entry.n} (${entry.scenario.kind}, ${[...ids]}): ${what}`);
    if (entry.surprise !== undefined) say(`its caller was told: ${entry.surprise}`);
    if (ids.size > 1) say(`one key made ${ids.size} commands`);
    const [id] = ids;
    if (id === undefined) return { entry, say, ids };
    const view = await untilFinal(client, id, until).catch((error: unknown) => {
      say(`it was acknowledged, and is not there: ${(error as Error).message}`);
      return undefined;
    });
    return { entry, say, ids, view };
  });
  // What was waited for has run by now.
  const times = timesRan(ran);
  await atOnce(seen, async ({ entry, say, ids, view }) => {
    const runs = times.get(entry.n) ?? 0;
    if (ids.size === 0 && runs > 0) say('it ran, and no record tells of it');
    if (!view) return;
    byStatus[view.status] = (byStatus[view.status] ?? 0) + 1;
    judgeOne(entry, view, runs, say);
    await judgeOutput(client, entry, view, say);
  });
  return { findings, byStatus };
};

interface Seen {
  readonly entry: Entry;
  readonly say: (what: string) => void;
  readonly ids: ReadonlySet<string>;
  readonly view?: CommandView | undefined;
}

const atOnce = async <T, R>(all: readonly T[], act: (one: T) => Promise<R>): Promise<readonly R[]> => {
  const rest = all.entries();
  const results: R[] = [];
  const work = async (): Promise<void> => {
    for (const [i, one] of rest) results[i] = await act(one);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return results;
};

const judgeOne = (
  { scenario, finals, canceled }: Entry,
  view: CommandView,
  runs: number,
  say: (what: string) => void,
) => {
  if (view.endedAt === null) return say(`it is still ${view.status}`);
  if (!scenario.mayEndAs.includes(view.status)) {
    say(`it ended as ${view.status}: ${JSON.stringify(view.result)}`);
  }
  const final = finalOf(view);
  for (const earlier of finals) if (earlier !== final) say(`its end changed from ${earlier} to ${final}`);
  const started = view.attempts.filter(({ startedAt }) => startedAt !== null).length;
  if (runs > started) say(`it ran ${runs} times, and ${started} starts are recorded`);
  if (!scenario.isRetried && runs > 1) say(`it ran ${runs} times`);
  if ((view.status === 'succeeded' || view.status === 'failed') && runs < 1) say(`it is ${view.status} and never ran`);
  if (!scenario.isRetried && started > 1) say(`it was started ${started} times`);
  if (canceled === 'before its start' && runs > 0) say('it was canceled before its start, and ran');
};

const judgeOutput = async (client: Client, entry: Entry, view: CommandView, say: (what: string) => void) => {
  const { scenario, followed } = entry;
  const stdoutBytes = view.result?.stdoutBytes ?? 0;
  const stored =
    stdoutBytes < TEXT_BYTES
      ? Buffer.from(view.stdout ?? '')
      : Buffer.from(await new Response((await client.readOutput(view.id, { stream: 'stdout' })).body).arrayBuffer());
  const expected = scenario.output();
  if (stored.length !== stdoutBytes)
    say(`its output has ${stored.length} bytes, and its record tells of ${stdoutBytes}`);
  const isWhole = view.status === 'succeeded' || view.status === 'failed';
  if (isWhole ? !stored.equals(expected) : !expected.subarray(0, stored.length).equals(stored)) {
    say(
      `its output is not what it wrote: ${stored.length} bytes ${hashOf(stored)}, not ${expected.length} ${hashOf(expected)}`,
    );
  }
  if (followed && !followed.equals(stored))
    say(`whoever followed it was given ${followed.length} bytes, not ${stored.length}`);
};

const untilFinal = async (client: Client, id: string, until: number): Promise<CommandView> => {
  for (;;) {
    const view = await client.get(id, { waitSeconds: 2 });
    if (view.endedAt !== null || Date.now() > until) return view;
  }
};

const timesRan = (file: string): ReadonlyMap<number, number> => {
  const times = new Map<number, number>();
  for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    times.set(Number(line), (times.get(Number(line)) ?? 0) + 1);
  }
  return times;
};

/** Newest first, so that it ends with the oldest that is asked for. */
const commandsByNumber = async (client: Client, wanted: ReadonlySet<number>) => {
  const found = new Map<number, CommandSummary[]>();
  const first = Math.min(...wanted);
  for await (const command of client.list()) {
    const n = Number(command.labels['n']);
    // Callers that waited long may have submitted what is older than its number.
    if (n < first - 100) break;
    if (wanted.has(n)) found.set(n, [...(found.get(n) ?? []), command]);
  }
  return found;
};
