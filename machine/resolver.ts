import { lookup } from 'node:dns/promises';

/** All addresses of a name, as this machine resolves it. */
export const systemResolve = async (hostname: string): Promise<readonly string[]> =>
  (await lookup(hostname, { all: true })).map(({ address }) => address);
