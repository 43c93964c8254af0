import { once } from 'node:events';
import { dataDirectoryOf } from '../connect.ts';
import { serve as startServer } from '../embedded.ts';
import { EXIT } from '../exit-codes.ts';
import { say, type Terminal, write } from '../terminal.ts';

export interface ServeOptions {
  readonly host: string;
  readonly port: number;
  readonly concurrency: number;
  readonly data?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly trustedProxy?: string[];
  readonly publicHost?: string[];
  readonly loopbackWebhooks?: boolean;
}

/** Serves until it is told to stop: once to end what runs in order, twice to leave at once. */
export const serve = async (options: ServeOptions, terminal: Terminal): Promise<number> => {
  const { host, port, concurrency, data, tlsCert: tlsCertificate, tlsKey } = options;
  const dataDirectory = dataDirectoryOf(data === undefined ? {} : { data }, terminal.env);
  const server = await startServer({
    ...{ host, port, dataDirectory, concurrency, tlsCertificate, tlsKey },
    trustedProxies: options.trustedProxy,
    publicHosts: options.publicHost,
    loopbackWebhooks: options.loopbackWebhooks,
  });
  const first = port === 7070 ? 'errand run -- echo hello' : `ERRAND_URL=${server.url} errand run -- echo hello`;
  await write(terminal.stdout, `Errand serves at ${server.url} (data in ${dataDirectory}). Try: ${first}\n`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  say(terminal, 'stopping what runs (Ctrl-C again to leave at once)');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(EXIT.interrupted));
  await server.close();
  return 0;
};
