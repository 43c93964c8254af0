import { type Client, makeClient } from '../../clients/sdk/client.ts';
import { type Cli, type CliOptions, startCli } from '../support/cli.ts';

export interface TriedServer extends Cli {
  readonly url: string;
  /** Asks again at once, as often as a client does. */
  readonly client: Client;
  /** Kills it. */
  stop(): Promise<void>;
}

/** The real server of a test, in an environment that harms it. */
export const serveOn = async (
  dataDirectory: string,
  options: Pick<CliOptions, 'env' | 'wrapper'> = {},
): Promise<TriedServer> => {
  const server = startCli(['serve', '--port', '0'], { dataDirectory, ...options });
  await server.says('Errand serves at');
  const [url = ''] = /https?:\/\/[^ ]+/.exec(server.stdout().toString()) ?? [];
  return {
    ...server,
    url,
    client: makeClient({ url, sleep: async () => {} }),
    async stop() {
      server.process.kill('SIGKILL');
      await server.exit;
    },
  };
};
