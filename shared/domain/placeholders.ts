/*
 * The language of a trigger's template: text with `{{ … }}` in it. It names a value and is replaced by it, once: there are no functions,
 * no loops, and what comes out is looked at no more.
 */

/** What of a delivery can be named. */
export interface Delivered {
  /** What the body says; undefined when it is nothing that can be read. */
  readonly body: unknown;
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly event: string | undefined;
  readonly delivery: string | undefined;
  /** The body byte by byte. */
  readonly raw: Uint8Array;
}

const ROOTS = ['body', 'headers', 'event', 'delivery', 'raw'] as const;

/** Names a value: `body.pull_request.labels[0]["name"]`. */
export interface Reference {
  readonly root: (typeof ROOTS)[number];
  readonly path: readonly string[];
  /** As it was written. */
  readonly text: string;
}

/** A piece of a template. */
export type Part = string | { readonly reference: Reference; readonly otherwise?: string | undefined };

/** What is wrong with a text, for a person. */
export interface Mistake {
  readonly mistake: string;
}
export const isMistake = (value: unknown): value is Mistake =>
  typeof value === 'object' && value !== null && 'mistake' in value;

const STEP = /\.([A-Za-z0-9_-]+)|\[(\d{1,6})\]|\[("(?:[^"\\]|\\.)*")\]/y;
const TEXT = /"(?:[^"\\]|\\.)*"/y;
const SPACE = /\s*/y;
const MOST_STEPS = 20;

/** Headers that anybody between sender and here may set, or that hold what nobody shall see. */
const HEADER = /^(x-[a-z0-9-]+|webhook-(id|timestamp)|content-type|user-agent|idempotency-key)$/;
const NO_HEADER = /signature|token|secret|auth|cookie|password|credential|forwarded|real-ip|^x-amz|api-?key/;

/** Whether a template may name this header. */
export const isNameable = (header: string): boolean => HEADER.test(header) && !NO_HEADER.test(header);

const at = (pattern: RegExp, text: string, from: number): RegExpExecArray | null => {
  pattern.lastIndex = from;
  return pattern.exec(text);
};

/** A reference from there on, and where it ends. */
const readReference = (text: string, from: number): { reference: Reference; end: number } | Mistake => {
  const root = ROOTS.find((one) => text.startsWith(one, from) && !/[A-Za-z0-9_-]/.test(text[from + one.length] ?? ''));
  if (root === undefined) return { mistake: `must name one of ${ROOTS.join(', ')}` };
  const path: string[] = [];
  let end = from + root.length;
  for (let step = at(STEP, text, end); step; step = at(STEP, text, end)) {
    const [, name, index, quoted] = step;
    const key = quoted === undefined ? (name ?? index ?? '') : parseText(quoted);
    if (key === undefined) return { mistake: `${quoted} is no JSON text` };
    path.push(root === 'headers' ? key.toLowerCase() : key);
    end = STEP.lastIndex;
  }
  if (path.length > MOST_STEPS) return { mistake: `has more than ${MOST_STEPS} steps` };
  if (root === 'headers') {
    const [header = ''] = path;
    if (path.length !== 1) return { mistake: 'must name one header, such as headers["x-github-event"]' };
    if (!isNameable(header)) return { mistake: `${header.slice(0, 100)} is no header that can be named` };
  } else if (root !== 'body' && path.length > 0) return { mistake: `${root} has no fields` };
  return { reference: { root, path, text: text.slice(from, end) }, end };
};

const parseText = (quoted: string): string | undefined => {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return undefined;
  }
};

/** A reference that stands by itself, as in a condition. */
export const parseReference = (text: string): Reference | Mistake => {
  const read = readReference(text, 0);
  if (isMistake(read)) return read;
  return read.end === text.length ? read.reference : { mistake: `goes on with ${quote(text.slice(read.end))}` };
};

/** A template in its parts. `{{ body.a ?? "b" }}` has a default, and `{{ "{{" }}` is text as it is. */
export const parseTemplate = (text: string): readonly Part[] | Mistake => {
  const parts: Part[] = [];
  for (let from = 0; ; ) {
    const open = text.indexOf('{{', from);
    if (open !== from && from < text.length) parts.push(text.slice(from, open < 0 ? undefined : open));
    if (open < 0) return parts;
    const read = readPlaceholder(text, open);
    if (isMistake(read)) return { mistake: `${quote(text.slice(open))} ${read.mistake}` };
    parts.push(read.part);
    from = read.end;
  }
};

const readPlaceholder = (text: string, open: number): { part: Part; end: number } | Mistake => {
  const skip = (from: number): number => from + (at(SPACE, text, from)?.[0].length ?? 0);
  const begin = skip(open + 2);
  const literal = at(TEXT, text, begin);
  let part: Part | undefined;
  let end: number;
  if (literal) {
    part = parseText(literal[0]);
    end = skip(begin + literal[0].length);
  } else {
    const read = readReference(text, begin);
    if (isMistake(read)) return read;
    const { reference } = read;
    part = { reference };
    end = skip(read.end);
    if (text.startsWith('??', end)) {
      const quoted = at(TEXT, text, skip(end + 2));
      const otherwise = quoted && parseText(quoted[0]);
      if (!quoted || typeof otherwise !== 'string') return { mistake: 'has no JSON text behind its ??' };
      part = { reference, otherwise };
      end = skip(quoted.index + quoted[0].length);
    }
  }
  if (part === undefined) return { mistake: 'holds no JSON text' };
  return text.startsWith('}}', end) ? { part, end: end + 2 } : { mistake: 'must end with }}' };
};

const quote = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);

/** Whether anything in it would be replaced. */
export const hasPlaceholder = (text: string): boolean => {
  const parts = parseTemplate(text);
  return isMistake(parts) || parts.some((part) => typeof part !== 'string');
};

/** Whether a text that is no template looks as if its author took it for one. */
export const looksLikeTemplate = (text: string): boolean => /\{\{\s*(body|headers|event|delivery|raw)\b/.test(text);

/** What a reference names; undefined when it is not there. */
export const lookUp = ({ root, path }: Reference, delivered: Delivered): unknown => {
  if (root === 'headers') return delivered.headers[path[0] ?? ''];
  if (root === 'raw') return decode(delivered.raw);
  let value: unknown = delivered[root];
  for (const key of path) {
    // Own fields alone: nothing of what every object has is of the delivery.
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    if (Array.isArray(value) && !/^\d+$/.test(key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
};

const decode = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
};

/**
 * The text with its values: text as it is, everything else as JSON. What is not there, or null, is its default, or `missing`.
 */
export const renderTemplate = (
  parts: readonly Part[],
  delivered: Delivered,
): { readonly text: string } | { readonly missing: Reference } => {
  let text = '';
  for (const part of parts) {
    if (typeof part === 'string') {
      text += part;
      continue;
    }
    const value = lookUp(part.reference, delivered) ?? part.otherwise;
    if (value === undefined) return { missing: part.reference };
    text += typeof value === 'string' ? value : JSON.stringify(value);
  }
  return { text };
};
