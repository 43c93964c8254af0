import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemResolve } from '../machine/resolver.ts';
import type { AccessTokens } from '../shared/access/access-tokens.ts';
import type { Clock } from '../shared/domain/clock.ts';
import { makeEgress } from '../shared/egress/egress.ts';
import type { Log } from '../shared/telemetry/log.ts';

const NAME = 'access.json';

/**
 * Verifies access tokens of the issuers in a data folder's `access.json`; undefined when there is no such file.
 * @throws Error in words for a person, with a pointer to each fault
 */
export const openIssuers = async (
  dataDirectory: string,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<AccessTokens | undefined> => {
  const file = join(dataDirectory, NAME);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  const { makeAccessTokens, parseIssuers } = await import('../shared/access/access-tokens.ts');
  try {
    const egress = makeEgress({ clock, resolve: systemResolve });
    return makeAccessTokens({ issuers: parseIssuers(text), egress, clock, log });
  } catch (error) {
    throw new Error(`${file} is not valid: ${(error as Error).message}`, { cause: error });
  }
};
