import { resolve } from 'node:path';
import { systemClock, systemRandom } from '../machine/system-clock.ts';
import { keepDelivering } from '../shared/app/keep-delivering.ts';
import { keepDeliveringWebhooks } from '../shared/app/keep-delivering-webhooks.ts';
import { jsonLog, parseLogLevel } from '../shared/telemetry/log.ts';
import { type DoorOptions, isLoopbackHost, LOOPBACK, openDoor } from './door.ts';
import { makeDataFolder } from './durable-folders.ts';
import { keepFiring } from './firing.ts';
import { type Gateway, makeGateway } from './gateway.ts';
import { type HttpServer, type ListenOptions, listen } from './http-server.ts';
import { openData } from './open-data.ts';
import { lockServer } from './server-lock.ts';
import { keepSweeping } from './sweeping.ts';
import { makeTerminalSockets } from './terminal-sockets.ts';

export interface ServeOptions extends DoorOptions {
  readonly port: number;
  readonly dataDirectory: string;
  /** How many commands run at once; the others wait. */
  readonly concurrency: number;
  /** Whether webhooks may point to this machine itself, also without TLS: for trying them out. @default false */
  readonly loopbackWebhooks?: boolean | undefined;
}

export interface RunningServer {
  readonly url: string;
  /** Ends what runs, stores how it ended, and closes. */
  close(): Promise<void>;
}

/**
 * Starts the embedded server: everything in this process, data in one folder.
 * @throws Error in words for a person: an address that needs more than is given, a taken port, a folder that cannot be used
 * or is in use
 */
export const serve = async ({
  port,
  dataDirectory,
  concurrency,
  loopbackWebhooks = false,
  ...how
}: ServeOptions): Promise<RunningServer> => {
  const door = openDoor(how);
  const directory = resolve(dataDirectory);
  makeDataFolder(directory);
  const lock = lockServer(directory);
  const level = parseLogLevel(process.env['ERRAND_LOG_LEVEL']);
  const log = jsonLog(systemClock, (line) => process.stderr.write(line), { level });
  let url = '';
  try {
    const data = await openData({
      dataDirectory: directory,
      concurrency,
      loopbackWebhooks,
      clock: systemClock,
      random: systemRandom,
      log,
      counts: true,
      runnerUrl: () => url,
    });
    try {
      const gateway = makeGateway(data.deps);
      const { ownerKey } = data;
      const terminals = makeTerminalSockets(data.deps);
      const main = await listen(gateway, { host: how.host, port, door, log, ownerKey, terminals });
      // Who is on this machine reaches it by loopback, without TLS or a name.
      const own =
        isLoopbackHost(how.host) && !door.tls
          ? undefined
          : await listenOnLoopback(gateway, { log, ownerKey, terminals });
      url = (own ?? main).url;
      lock.note({ pid: process.pid, url });
      const working = Promise.all([
        keepSweeping(data.deps),
        keepDelivering(data.deps),
        keepDeliveringWebhooks(data.deps),
        keepFiring(data.deps),
      ]);
      return {
        url: main.url,
        async close() {
          await Promise.all([terminals.close(), main.close(), own?.close(), data.close()]);
          await working;
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

const listenOnLoopback = (
  gateway: Gateway,
  options: Pick<ListenOptions, 'log' | 'ownerKey' | 'terminals'>,
): Promise<HttpServer> => listen(gateway, { ...options, ...LOOPBACK, port: 0, door: openDoor(LOOPBACK) });
