import type { AtProcess } from './probes.ts';
import type { Verdict } from './verdict.ts';

export const SEVERITIES = ['escape', 'host-leak', 'lateral', 'denial', 'exposure'] as const;
/**
 * What a hit means, after gVisor's severities: code on the host, the host's secrets, another command's, a host that does not
 * answer; or a wall of the second line is missing, which alone lets nothing through.
 */
export type Severity = (typeof SEVERITIES)[number];

/** A probe, as its program describes it. */
export interface ProbeAbout {
  readonly name: string;
  readonly group: string;
  readonly severity: Severity;
  readonly tries: string;
}

/**
 * - `held`: it hits without walls and not within
 * - `hit`: it hits within
 * - `open`: it hits within, and this level does not claim to hold it
 * - `unproven`: it hits nowhere, so that nothing is known of the wall
 * - `broken`: it did not run to its end
 */
export type Outcome = 'held' | 'hit' | 'open' | 'unproven' | 'broken';

export interface Finding extends ProbeAbout {
  readonly outcome: Outcome;
  readonly detail: string;
}

export interface Judged {
  readonly probe: ProbeAbout;
  readonly atProcess: AtProcess;
  readonly level: string;
  readonly ownUsers: boolean;
  /** Without walls. */
  readonly control: Verdict;
  readonly inside: Verdict;
}

/** What one probe proves of a level. */
export const judge = ({ probe, control, inside, ...expected }: Judged): Finding => {
  const finding = (outcome: Outcome, detail: string): Finding => ({ ...probe, outcome, detail });
  if (inside.word === 'broken') return finding('broken', inside.detail);
  // Also where the control did not hit: what gets through gets through.
  if (inside.word === 'hit') return finding(mayBeOpen(expected) ? 'open' : 'hit', inside.detail);
  if (control.word !== 'hit') return finding('unproven', `without walls: ${control.detail}`);
  if (inside.word === 'absent') return finding('unproven', inside.detail);
  return finding('held', inside.detail);
};

const mayBeOpen = ({ atProcess, level, ownUsers }: Pick<Judged, 'atProcess' | 'level' | 'ownUsers'>): boolean => {
  if (level === 'none') return true;
  if (level !== 'process') return false;
  return atProcess === 'open' || (atProcess === 'own-user' && !ownUsers);
};

/** How a place was after a bomb. */
export interface Aftermath {
  readonly isHealthy: boolean;
  /** How long the next command took. */
  readonly nextMs: number;
  readonly leftovers: number;
}

/** A command after a bomb starts within this time. */
const NEXT_COMMAND_MS = 1_000;

/** A bomb that was held but hurt the place has hit. */
export const withAftermath = (verdict: Verdict, { isHealthy, nextMs, leftovers }: Aftermath): Verdict => {
  if (verdict.word === 'broken') return verdict;
  if (!isHealthy) return { word: 'hit', detail: 'the server was not well afterwards' };
  if (leftovers > 0) return { word: 'hit', detail: `${leftovers} of its processes were left` };
  if (nextMs > NEXT_COMMAND_MS) return { word: 'hit', detail: `the next command took ${Math.round(nextMs)} ms` };
  return verdict;
};

export interface LevelReport {
  readonly level: string;
  readonly counts: Readonly<Record<Outcome, number>>;
  readonly findings: readonly Finding[];
}

export interface BatteryReport {
  /** Something was proved, and nothing got through that a level claims to hold. */
  readonly passed: boolean;
  /** Whether the server was started by root. */
  readonly asRoot: boolean;
  readonly levels: readonly LevelReport[];
}

const OUTCOMES = ['hit', 'broken', 'held', 'open', 'unproven'] as const satisfies readonly Outcome[];

/** A probe that broke proves nothing good, so it fails the level as a hit does; so does a level where nothing was held. */
export const summarize = (asRoot: boolean, findingsByLevel: ReadonlyMap<string, readonly Finding[]>): BatteryReport => {
  const levels = [...findingsByLevel].map(([level, findings]) => {
    const countOf = (outcome: Outcome) => findings.filter((finding) => finding.outcome === outcome).length;
    const counts = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, countOf(outcome)])) as LevelReport['counts'];
    return { level, counts, findings };
  });
  const isGood = ({ level, counts }: LevelReport) =>
    counts.hit === 0 && counts.broken === 0 && (counts.held > 0 || level === 'none');
  return { passed: levels.length > 0 && levels.every(isGood), asRoot, levels };
};
