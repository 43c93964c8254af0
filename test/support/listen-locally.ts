import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Has a server listen on a free port of this machine. `close` cuts off whoever is still connected. */
export const listenLocally = async (
  server: Server,
  host = '127.0.0.1',
): Promise<{ readonly url: string; close(): Promise<void> }> => {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
