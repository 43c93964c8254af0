/**
 * Finds many texts at once in bytes that come piece by piece, in time that grows with the bytes only (Aho and Corasick,
 * 1975). Made by `makeMatcher`; read by whoever walks over the bytes.
 */
export interface Matcher {
  /** The state after one more byte. The first state is 0. */
  next(state: number, byte: number): number;
  /** How long the longest text is that ends here, or 0. */
  readonly matched: Int32Array;
  /** How many of the last bytes may be the beginning of a text that is not yet found. */
  readonly held: Int32Array;
  /** From 0, the first place from `from` on where a text may begin; at most a few bytes before `to`. */
  skip(bytes: Uint8Array, from: number, to: number): number;
}

/** The window of `skip` is as long as the shortest text, within this. */
const MOST_WINDOW = 16;

/** @param texts none of them shorter than 2 bytes */
export const makeMatcher = (texts: readonly Uint8Array[]): Matcher => {
  const trie = makeTrie(texts);
  const { size, first, label, roots } = trie;
  const { fail, matched, held } = linkTrie(trie);
  const childOf = makeChildOf(trie);
  const { shifts, window } = makeShifts(texts);

  return {
    matched: matched.subarray(0, size),
    held: held.subarray(0, size),

    next(state, byte) {
      let at = state;
      while (at !== 0) {
        // Deep in a text there is one way on.
        const only = first[at] as number;
        const child = only !== 0 && label[only] === byte ? only : childOf(at, byte);
        if (child !== 0) return child;
        at = fail[at] as number;
      }
      return roots[byte] as number;
    },

    /** As Wu and Manber (1994): a pair of bytes that is far from the beginning of any text, or in none, is skipped. */
    skip(bytes, from, to) {
      let at = from + window - 2;
      const end = to - 1;
      while (at < end) {
        const shift = shifts[((bytes[at] as number) << 8) | (bytes[at + 1] as number)] as number;
        if (shift === 0) break;
        at += shift;
      }
      return Math.min(to, Math.max(from, at - window + 2));
    },
  };
};

/** States are numbers; 0 is the beginning, and as a child none. */
interface Trie {
  readonly size: number;
  readonly first: Int32Array;
  readonly sibling: Int32Array;
  readonly label: Uint8Array;
  /** The children of the beginning, by byte. */
  readonly roots: Int32Array;
  /** Where a text ends: its length. */
  readonly ends: Int32Array;
  readonly depth: Int32Array;
}

const makeTrie = (texts: readonly Uint8Array[]): Trie => {
  const most = texts.reduce((sum, { length }) => sum + length, 1);
  const first = new Int32Array(most);
  const sibling = new Int32Array(most);
  const label = new Uint8Array(most);
  const ends = new Int32Array(most);
  const depth = new Int32Array(most);
  const roots = new Int32Array(256);
  const trie = { first, sibling, label, roots, ends, depth };
  const childOf = makeChildOf(trie);
  let size = 1;
  for (const text of texts) {
    let state = 0;
    for (const byte of text) {
      let child = childOf(state, byte);
      if (child === 0) {
        child = size++;
        label[child] = byte;
        depth[child] = (depth[state] as number) + 1;
        if (state === 0) roots[byte] = child;
        else {
          sibling[child] = first[state] as number;
          first[state] = child;
        }
      }
      state = child;
    }
    ends[state] = text.length;
  }
  return { ...trie, size };
};

const makeChildOf =
  ({ first, sibling, label, roots }: Pick<Trie, 'first' | 'sibling' | 'label' | 'roots'>) =>
  (state: number, byte: number): number => {
    if (state === 0) return roots[byte] as number;
    let child = first[state] as number;
    while (child !== 0 && label[child] !== byte) child = sibling[child] as number;
    return child;
  };

/** What is known of each state through the ones that are its endings, the shorter before the longer. */
const linkTrie = (trie: Trie) => {
  const { size, first, sibling, label, roots, ends, depth } = trie;
  const childOf = makeChildOf(trie);
  const fail = new Int32Array(size);
  const matched = new Int32Array(size);
  const held = new Int32Array(size);
  const order = new Int32Array(size);
  let known = 0;
  for (const child of roots) if (child !== 0) order[known++] = child;
  for (let at = 0; at < known; at++) {
    const state = order[at] as number;
    const ending = fail[state] as number;
    matched[state] = (ends[state] as number) || (matched[ending] as number);
    // Where no text goes on, only what is behind its end can still begin one.
    held[state] = first[state] === 0 ? (held[ending] as number) : (depth[state] as number);
    for (let child = first[state] as number; child !== 0; child = sibling[child] as number) {
      const byte = label[child] as number;
      let from = ending;
      while (from !== 0 && childOf(from, byte) === 0) from = fail[from] as number;
      fail[child] = childOf(from, byte);
      order[known++] = child;
    }
  }
  return { fail, matched, held };
};

/** By how much a pair of bytes at the end of the window lets it move on. */
const makeShifts = (texts: readonly Uint8Array[]): { readonly shifts: Uint8Array; readonly window: number } => {
  const window = Math.min(MOST_WINDOW, ...texts.map(({ length }) => length));
  const shifts = new Uint8Array(0x10000).fill(window - 1);
  for (const text of texts) {
    for (let at = 0; at + 2 <= window; at++) {
      const pair = ((text[at] as number) << 8) | (text[at + 1] as number);
      shifts[pair] = Math.min(shifts[pair] as number, window - 2 - at);
    }
  }
  return { shifts, window };
};
