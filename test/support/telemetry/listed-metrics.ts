import { readFileSync } from 'node:fs';

const page = readFileSync(new URL('../../../docs/observability.md', import.meta.url), 'utf8');

/** The figures that docs/observability.md lists, each a row of its table. */
export const LISTED_METRICS: readonly string[] = [...page.matchAll(/^\| `(errand_[a-z_]+)`/gm)].map(
  ([, name = '']) => name,
);
