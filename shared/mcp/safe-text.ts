/** What nobody sees, or what changes how the rest is shown: control and format characters, bidi, tags, fillers, private use. */
const UNSEEN = /[[\p{C}\p{DI}\u{2028}\u{2029}]--[\t\n\u{fe0f}]]/gv;

/** Text as it is safe to show to a person or a model: what cannot be seen is written out, as `\u{1b}`. */
export const toSafeText = (text: string): string =>
  text.replace(UNSEEN, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);

/** The same for all strings within, names too. Twice is the same as once. */
export const toSafe = <T>(value: T): T => safe(value) as T;

const safe = (value: unknown): unknown => {
  if (typeof value === 'string') return toSafeText(value);
  if (Array.isArray(value)) return value.map(safe);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [toSafeText(name), safe(one)]));
};
