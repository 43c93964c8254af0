import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { systemClock, systemRandom } from '../machine/system-clock.ts';
import { jsonLog } from '../shared/telemetry/log.ts';
import { makeGateway } from './gateway.ts';
import { listen } from './http-server.ts';
import { makeDataFolder, openData } from './open-data.ts';
import { lockServer } from './server-lock.ts';
import { keepSweeping } from './sweeping.ts';

export interface ServeOptions {
  /** A loopback address. */
  readonly host: string;
  readonly port: number;
  readonly dataDirectory: string;
  /** How many commands run at once; the others wait. */
  readonly concurrency: number;
}

export interface RunningServer {
  readonly url: string;
  /** Ends what runs, stores how it ended, and closes. */
  close(): Promise<void>;
}

/**
 * Starts the embedded server: everything in this process, data in one folder.
 * @throws Error in words for a person: a non-loopback address, a taken port, a folder that cannot be used or is in use
 */
export const serve = async ({ host, port, dataDirectory, concurrency }: ServeOptions): Promise<RunningServer> => {
  if (!isLoopback(host)) {
    throw new Error(
      `Refusing to listen on ${host}: without TLS, keys could be read on the way. ` +
        'Use --host 127.0.0.1, and a tunnel (ssh -L) to reach it from elsewhere.',
    );
  }
  const directory = resolve(dataDirectory);
  await makeDataFolder(directory);
  const lock = lockServer(directory);
  const log = jsonLog(systemClock, (line) => process.stderr.write(line));
  let url = '';
  try {
    const data = await openData({
      dataDirectory: directory,
      concurrency,
      clock: systemClock,
      random: systemRandom,
      log,
      runnerUrl: () => url,
    });
    try {
      const http = await listen(makeGateway(data.deps), { host, port, log, ownerKey: data.ownerKey });
      url = http.url;
      lock.note({ pid: process.pid, url: http.url });
      const sweeping = keepSweeping(data.deps);
      return {
        url: http.url,
        async close() {
          await Promise.all([http.close(), data.close()]);
          await sweeping;
          lock.release();
        },
      };
    } catch (error) {
      await data.close();
      throw error;
    }
  } catch (error) {
    lock.release();
    throw error;
  }
};

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
