import { appendFileSync } from 'node:fs';
import type { CommandView } from '../../../shared/contract/schemas.ts';
import type { Scenario } from './scenarios.ts';

/** What the clients asked of one command, and what they were told. */
export interface Entry {
  readonly n: number;
  readonly scenario: Scenario;
  /** Each id that was told for its one Idempotency-Key. */
  readonly ids: Set<string>;
  /** Each result of a final status that any answer showed, as text. */
  readonly finals: Set<string>;
  /** What a cancel was answered with, once. */
  canceled?: 'before its start' | 'later';
  /** What its caller was told and cannot be. */
  surprise?: string;
  /** A client that followed it to its end, and what it was given. */
  followed?: Buffer;
}

/** Kept outside of what is killed; in a file too, for whoever looks into a finding. */
export interface Journal {
  readonly entries: readonly Entry[];
  open(scenario: Scenario): Entry;
  /** An answer that shows the command. */
  told(entry: Entry, view: Pick<CommandView, 'id' | 'status' | 'endedAt' | 'result'>): void;
  note(entry: Entry, what: string): void;
  /** Takes out what was judged. */
  take(): readonly Entry[];
}

export const openJournal = (file: string, now: () => number): Journal => {
  let entries: Entry[] = [];
  const note = ({ n }: Pick<Entry, 'n'>, what: string): void => appendFileSync(file, `${now()} ${n} ${what}\n`);
  return {
    get entries() {
      return entries;
    },
    open(scenario) {
      const entry: Entry = { n: scenario.n, scenario, ids: new Set(), finals: new Set() };
      entries.push(entry);
      note(entry, `asked: ${scenario.kind}`);
      return entry;
    },
    told(entry, { id, status, endedAt, result }) {
      if (!entry.ids.has(id)) note(entry, `acknowledged: ${id}`);
      entry.ids.add(id);
      if (endedAt === null) return;
      const final = finalOf({ status, endedAt, result });
      if (!entry.finals.has(final)) note(entry, `ended: ${final}`);
      entry.finals.add(final);
    },
    note,
    take() {
      const taken = entries;
      entries = [];
      return taken;
    },
  };
};

/** What must never change once it was shown. */
export const finalOf = ({ status, endedAt, result }: Pick<CommandView, 'status' | 'endedAt' | 'result'>): string =>
  JSON.stringify({ status, endedAt, result });
