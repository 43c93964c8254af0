/** A JSON value, as JSON.parse gives it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type Scalar = null | boolean | number | string;

/** RFC 6901: the empty text is the whole. */
export const JSON_POINTER = /^(\/([^~/]|~[01])*)*$/;

/** What a pointer (RFC 6901) names in a value; undefined when there is nothing. */
export const resolvePointer = (value: Json | undefined, pointer: string): Json | undefined => {
  let found = value;
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (found === null || typeof found !== 'object') return undefined;
    // A list has no other numbers than those that are written the shortest way.
    if (Array.isArray(found) && !/^(0|[1-9]\d{0,8})$/.test(name)) return undefined;
    if (!Object.hasOwn(found, name)) return undefined;
    found = (found as Readonly<Record<string, Json>>)[name];
  }
  return found;
};

/** A value as text: texts as they are, others as JSON. */
export const toText = (value: Json): string => (typeof value === 'string' ? value : JSON.stringify(value));
