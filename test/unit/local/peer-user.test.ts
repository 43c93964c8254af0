import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { peerUserOf } from '../../../local/peer-user.ts';

const isLinux = process.platform === 'linux';
const isRoot = process.geteuid?.() === 0;
let server: Server;
afterEach(() => server.close());

/** The server's end of a connection that `dial` makes. */
const accept = async (host: string, dial: (port: number) => void): Promise<Socket> => {
  server = createServer();
  server.listen(0, host);
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  dial((server.address() as AddressInfo).port);
  const [socket] = (await accepted) as [Socket];
  socket.on('error', () => {});
  return socket;
};

describe.skipIf(!isLinux)('the user at the other end', () => {
  test.for(['127.0.0.1', '::1'])('of a connection by %s is known', async (host) => {
    let client: Socket | undefined;
    const socket = await accept(host, (port) => {
      client = connect(port, host);
    });
    expect(await peerUserOf(socket)).toBe(process.geteuid?.());
    client?.destroy();
    socket.destroy();
  });

  test('of a connection by IPv4 to a socket of both kinds is known', async () => {
    let client: Socket | undefined;
    const socket = await accept('::', (port) => {
      client = connect(port, '127.0.0.1');
    });
    expect(await peerUserOf(socket)).toBe(process.geteuid?.());
    client?.destroy();
    socket.destroy();
  });

  test.skipIf(!isRoot)('is another one when another one connects', async () => {
    const script = (port: number) => `require('node:net').connect(${port}, '127.0.0.1'); setTimeout(() => {}, 60000)`;
    let child: ReturnType<typeof spawn> | undefined;
    const socket = await accept('127.0.0.1', (port) => {
      child = spawn('/proc/self/exe', ['-e', script(port)], { uid: 65_534, stdio: 'ignore', argv0: 'node' });
    });
    expect(await peerUserOf(socket)).toBe(65_534);
    child?.kill('SIGKILL');
    socket.destroy();
  });

  test('of a connection that is gone is nobody', async () => {
    let client: Socket | undefined;
    const socket = await accept('127.0.0.1', (port) => {
      client = connect(port, '127.0.0.1');
    });
    const closed = once(socket, 'close');
    socket.destroy();
    await closed;
    client?.destroy();
    expect(await peerUserOf(socket)).toBeUndefined();
  });
});
