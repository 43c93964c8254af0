/** What was opened and is not closed yet: an object with the names that it has so far, or a list with its place in it. */
type Open = { readonly names: Set<string>; name: string | undefined } | { at: number };

/** A name that cannot be taken as it stands. */
export interface OddName {
  readonly path: readonly (string | number)[];
  readonly detail: string;
}

/**
 * The first name in a JSON text that is given twice in one object, of which JSON.parse keeps the last and others the first (RFC 8259,
 * section 4), or that is `__proto__`, which some copies of an object leave out: what was looked at must not differ from what is done.
 * @param json what JSON.parse takes
 */
export const oddNameIn = (json: string): OddName | undefined => {
  const opened: Open[] = [];
  for (let at = 0; at < json.length; at++) {
    const inner = opened.at(-1);
    switch (json[at]) {
      case '{':
        opened.push({ names: new Set(), name: undefined });
        break;
      case '[':
        opened.push({ at: 0 });
        break;
      case '}':
      case ']':
        opened.pop();
        break;
      case ',':
        if (inner && 'at' in inner) inner.at++;
        else if (inner) inner.name = undefined;
        break;
      case '"': {
        const end = endOfText(json, at);
        if (inner && 'names' in inner && inner.name === undefined) {
          inner.name = nameOf(json.slice(at, end + 1));
          const detail = oddityOf(inner.name, inner.names);
          if (detail) return { path: opened.map((one) => ('at' in one ? one.at : (one.name ?? ''))), detail };
          inner.names.add(inner.name);
        }
        at = end;
        break;
      }
    }
  }
  return undefined;
};

const oddityOf = (name: string, before: ReadonlySet<string>): string | undefined => {
  if (before.has(name)) return 'is given twice';
  return name === '__proto__' ? 'is not a name that is taken' : undefined;
};

const endOfText = (json: string, start: number): number => {
  let at = start + 1;
  while (at < json.length && json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at;
};

/** `"\u0061"` is `"a"`. */
const nameOf = (text: string): string => (text.includes('\\') ? (JSON.parse(text) as string) : text.slice(1, -1));
