import { createHash } from 'node:crypto';

/** The id of the span of what has these names: the same from wherever it is told. */
export const hashedSpanId = (...names: readonly (string | number)[]): string =>
  createHash('sha256').update(names.join('/')).digest('hex').slice(0, 16);
