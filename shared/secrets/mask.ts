import { encodingsOf } from './encodings.ts';
import { type Matcher, makeMatcher } from './matcher.ts';

/** What stands in the place of a secret. */
export const MASK = '***';
const MASK_BYTES = Buffer.from(MASK);
const NOTHING = new Uint8Array();

/** Masks one stream. Bytes that are no part of a secret pass as they are, in their order. */
export interface StreamMask {
  /**
   * What can be told by now; what may be the beginning of a secret is held back until more is known. The answer may be a
   * view into `bytes`; nothing of `bytes` is kept.
   */
  write(bytes: Uint8Array): Uint8Array;
  /** The end of the stream: what was held back is no secret. */
  end(): Uint8Array;
  /** How many times something was masked. */
  redactions(): number;
}

/** Masks what a command that was given secrets writes, and what is said of it. */
export interface Mask {
  open(): StreamMask;
  text(text: string): string;
}

/** @param values as bytes; undefined when none of them is long enough to be masked */
export const makeMask = (values: readonly Uint8Array[]): Mask | undefined => {
  const texts = values.flatMap(encodingsOf);
  if (texts.length === 0) return undefined;
  const matcher = makeMatcher(texts);
  return {
    open: () => openStream(matcher),
    text(text) {
      const stream = openStream(matcher);
      const masked = [Buffer.from(stream.write(Buffer.from(text))), stream.end()];
      return stream.redactions() === 0 ? text : Buffer.concat(masked).toString();
    },
  };
};

/**
 * Places that overlap are masked as one, so that a secret which is the beginning of another, or one that begins in
 * another's end, leaves nothing of either. What comes out does not depend on how the bytes were cut.
 */
const openStream = (matcher: Matcher): StreamMask => {
  const { matched, held } = matcher;
  let state = 0;
  /** The bytes that were not told yet, before those that come. */
  let kept: Uint8Array = NOTHING;
  /** What is masked of them, in order, none overlapping another: where each begins and ends. */
  const starts: number[] = [];
  const ends: number[] = [];
  let redactions = 0;

  /** Adds a place that ends behind all others, and takes in those that it overlaps. */
  const add = (from: number, to: number): void => {
    let start = from;
    while (starts.length > 0 && (ends.at(-1) as number) > from) {
      start = Math.min(start, starts.pop() as number);
      ends.pop();
    }
    starts.push(start);
    ends.push(to);
  };

  /** Tells what is known of `all`, in front of `safe`, where the next place may begin. */
  const tell = (all: Uint8Array, safe: number): Uint8Array => {
    const pieces: Uint8Array[] = [];
    let told = 0;
    let masks = 0;
    while (masks < starts.length && (ends[masks] as number) <= safe) {
      if ((starts[masks] as number) > told) pieces.push(all.subarray(told, starts[masks]));
      pieces.push(MASK_BYTES);
      told = ends[masks++] as number;
    }
    redactions += masks;
    const end = Math.min(safe, starts[masks] ?? safe);
    if (end > told) pieces.push(all.subarray(told, end));
    told = Math.max(told, end);
    starts.splice(0, masks);
    ends.splice(0, masks);
    for (let at = 0; at < starts.length; at++) {
      starts[at] = (starts[at] as number) - told;
      ends[at] = (ends[at] as number) - told;
    }
    kept = told === all.length ? NOTHING : Uint8Array.prototype.slice.call(all, told);
    const [only = NOTHING] = pieces;
    return pieces.length < 2 ? only : Buffer.concat(pieces);
  };

  return {
    write(bytes) {
      const before = kept.length;
      const all = before === 0 ? bytes : Buffer.concat([kept, bytes]);
      for (let at = before; at < all.length; at++) {
        if (state === 0) {
          at = matcher.skip(all, at, all.length);
          if (at >= all.length) break;
        }
        state = matcher.next(state, all[at] as number);
        const length = matched[state] as number;
        if (length > 0) add(at + 1 - length, at + 1);
      }
      return tell(all, all.length - (held[state] as number));
    },

    end() {
      state = 0;
      return tell(kept, kept.length);
    },

    redactions: () => redactions,
  };
};
