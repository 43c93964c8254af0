import type { PlaceRun } from './place.ts';

/** What came of one probe at one place. */
export interface Verdict {
  /** `absent`: it cannot be tried here. `broken`: whether it would hit is not known, as it did not run to its end. */
  readonly word: 'hit' | 'held' | 'absent' | 'broken';
  readonly detail: string;
}

const EXIT_CODES = { hit: 0, held: 1, absent: 2 } as const;
const LAST_WORD = /^errand-probe: (hit|held|absent) (.*)$/gm;
const BEGIN = /^errand-probe: begins /m;

/**
 * The verdict in what a probe printed. A wall that could not be built at all must not look like one that held, so the
 * probe's own first line is asked for; after it a violent end is an end that the wall made.
 */
export const readVerdict = ({ exitCode, signal, stdout, detail }: PlaceRun): Verdict => {
  if (!BEGIN.test(stdout)) return broken(`It did not begin: ${detail || howItEnded(exitCode, signal)}`);
  const [, word, said = ''] = [...stdout.matchAll(LAST_WORD)].at(-1) ?? [];
  if (word === undefined) {
    if (signal !== null || (exitCode !== null && exitCode > 128))
      return { word: 'held', detail: `it was ended by ${signal ?? `signal ${(exitCode ?? 0) - 128}`}` };
    return broken(`It said nothing of what it found: ${detail || howItEnded(exitCode, signal)}`);
  }
  const known = word as keyof typeof EXIT_CODES;
  if (exitCode !== EXIT_CODES[known]) return broken(`It said "${word}" and then ${howItEnded(exitCode, signal)}`);
  return { word: known, detail: said };
};

export const broken = (detail: string): Verdict => ({ word: 'broken', detail });

const howItEnded = (exitCode: number | null, signal: string | null): string =>
  signal === null ? `exited with ${exitCode}` : `was ended by ${signal}`;
