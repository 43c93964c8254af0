import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface AttackedServer {
  readonly url: string;
  isHealthy(): Promise<boolean>;
  close(): Promise<void>;
}

export interface AttackedServerOptions {
  /** The whole command line that serves on a port of its choice, and prints its URL. */
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Descriptors that it inherits and has no use for. */
  readonly leaked: readonly number[];
}

/** Starts a real server as the victim: with a secret in its environment and an open file that no command may see. */
export const startAttackedServer = async ({ argv, env, leaked }: AttackedServerOptions): Promise<AttackedServer> => {
  const [file = '', ...args] = argv;
  const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe', ...leaked] });
  const exited = once(child, 'exit');
  let said = '';
  const { promise: begun, resolve } = Promise.withResolvers<string>();
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4_096);
      const [url] = /http:\/\/\S+/.exec(said) ?? [];
      if (url) resolve(url);
    });
  }
  const url = await Promise.race([begun, exited.then(() => undefined)]);
  if (url === undefined) throw new Error(`The server that is to be attacked did not start: ${said.trim()}`);
  return {
    url,
    async isHealthy() {
      if (child.exitCode !== null || child.signalCode !== null) return false;
      return fetch(`${url}/healthz`, { signal: AbortSignal.timeout(5_000) }).then(
        ({ ok }) => ok,
        () => false,
      );
    },
    async close() {
      child.kill('SIGTERM');
      await exited;
    },
  };
};
