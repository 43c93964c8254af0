import type { Start } from './embedded-server.ts';

/** What came of the rounds, as it comes. */
export interface Report {
  readonly findings: readonly string[];
  readonly starts: readonly Start[];
  harmed(how: string): void;
  /** Undefined: it was ended before it served. */
  started(start: Start | undefined): void;
  found(what: string): void;
  ended(byStatus: Readonly<Record<string, number>>): void;
  /** In short, while it goes on. */
  line(): string;
  /** All of it, for a person. */
  text(): string;
}

const MOST_SHOWN = 100;

export const startReport = (seed: number, say: (line: string) => void): Report => {
  const findings: string[] = [];
  const starts: Start[] = [];
  const harms = new Map<string, number>();
  const statuses = new Map<string, number>();
  return {
    findings,
    starts,
    harmed: (how) => add(harms, how),
    started: (start) => void (start && starts.push(start)),
    found(what) {
      findings.push(what);
      say(`found: ${what}`);
    },
    ended(byStatus) {
      for (const [status, count] of Object.entries(byStatus)) add(statuses, status, count);
    },
    line: () => `${sum(statuses)} commands judged (${list(statuses)}), ${findings.length} findings`,
    text: () =>
      [
        `seed       ${seed}`,
        `harm       ${sum(harms)}: ${list(harms)}`,
        `commands   ${sum(statuses)} judged: ${list(statuses)}`,
        `starts     ${starts.length} seen: ${spread(starts.map(({ ms }) => ms))}; of processor time ${spread(starts.map(({ cpuMs }) => cpuMs))}`,
        `findings   ${findings.length}`,
        ...findings.slice(0, MOST_SHOWN).map((finding) => `  - ${finding}`),
      ].join('\n'),
  };
};

const add = (counts: Map<string, number>, name: string, more = 1): void =>
  void counts.set(name, (counts.get(name) ?? 0) + more);

const sum = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((a, b) => a + b, 0);

const list = (counts: ReadonlyMap<string, number>): string =>
  [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

const spread = (values: readonly number[]): string => {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return `median ${at(0.5)} ms, 99th percentile ${at(0.99)} ms, longest ${at(1)} ms`;
};
