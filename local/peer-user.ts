import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';

/*
 * Who is at the other end of a loopback connection: Linux lists each socket with the user that made it
 * (https://docs.kernel.org/networking/proc_net_tcp.html).
 */

/** Columns of a row: its own address, the other end's, and the user. */
const LOCAL = 1;
const REMOTE = 2;
const USER = 7;

/** The user id of the process that connected from this machine; undefined where that cannot be known. */
export const peerUserOf = async ({ localPort, remoteAddress, remotePort }: Socket): Promise<number | undefined> => {
  if (process.platform !== 'linux' || !isLoopback(remoteAddress)) return undefined;
  for (const row of await readRows()) {
    const columns = row.trim().split(/\s+/);
    // Its socket has our ports the other way round.
    if (portOf(columns[LOCAL]) !== remotePort || portOf(columns[REMOTE]) !== localPort) continue;
    if (!isLoopbackHex(columns[LOCAL]) || !isLoopbackHex(columns[REMOTE])) continue;
    return Number(columns[USER]);
  }
  return undefined;
};

let reading: Promise<readonly string[]> | undefined;
let next: Promise<readonly string[]> | undefined;

/**
 * The kernel takes some 5 ms for a list, so those who ask at one time share it. Whoever asks while one is read waits for the next: a
 * list that was begun before a connection was made may still show another's with the same ports.
 */
const readRows = (): Promise<readonly string[]> => {
  if (reading) {
    next ??= reading.then(() => {
      next = undefined;
      return readRows();
    });
    return next;
  }
  reading = Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map(rowsOf))
    .then((lists) => lists.flat())
    .finally(() => (reading = undefined));
  return reading;
};

const isLoopback = (address = ''): boolean => /^(::ffff:)?127\.|^::1$/.test(address);

const rowsOf = async (file: string): Promise<string[]> => {
  try {
    return (await readFile(file, 'latin1')).split('\n').slice(1, -1);
  } catch {
    // A kernel without IPv6 has no such file.
    return [];
  }
};

const portOf = (address = ''): number => Number.parseInt(address.slice(address.indexOf(':') + 1), 16);

/** 127.0.0.0/8, plain or mapped into IPv6, and ::1, as the kernel writes them: each four bytes in the machine's order. */
const isLoopbackHex = (address = ''): boolean => {
  const [hex = ''] = address.split(':');
  const last = hex.slice(-8);
  if (hex.length === 8) return last.endsWith('7F');
  return hex === `${'0'.repeat(24)}01000000` || (hex.startsWith(`${'0'.repeat(16)}FFFF0000`) && last.endsWith('7F'));
};
