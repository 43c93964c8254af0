import type { Client } from '../sdk/client.ts';

/** A command's id as given, or that of the newest one for `last`. @throws Error when there is none */
export const resolveId = async (client: Client, given: string): Promise<string> => {
  if (given !== 'last') return given;
  for await (const { id } of client.list({ limit: 1 })) return id;
  throw new Error('There is no command yet. Submit one with `errand run -- CMD`.');
};
