import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ListenOptions, type Server } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Confirmation, Planted } from '../../shared/isolation/probes.ts';
import { identityOf, killNaming, processesNaming } from './host.ts';

export interface Plants {
  readonly planted: Planted;
  /** Whether it was really done to the host; and undoes it. */
  confirm(how: Confirmation, file: string): Promise<boolean>;
  /** Takes everything away again. */
  remove(): Promise<void>;
}

export interface PlantOptions {
  /** The probes' program. */
  readonly program: string;
  /** A folder of its own, for files that no command may reach; it must be there. */
  readonly folder: string;
  /** The server's data folder and the folder where commands have theirs. */
  readonly dataFolder: string;
  readonly workFolder: string;
  readonly secret: string;
  readonly mark: string;
}

/** Puts the secrets in place that probes try to reach: files, sockets, ports, and a process with secrets in its memory. */
export const plant = async ({ program, secret, mark, ...folders }: PlantOptions): Promise<Plants> => {
  const { folder, dataFolder, workFolder } = folders;
  const undo: (() => unknown)[] = [];
  const secretFile = (path: string): string => {
    writeFileSync(path, secret, { mode: 0o600 });
    undo.push(() => rmSync(path, { force: true }));
    return path;
  };
  /** Nothing is there yet; what a probe makes there is removed. */
  const futureFile = (path: string): string => {
    undo.push(() => rmSync(path, { force: true }));
    return path;
  };
  const remove = async () => {
    killNaming(mark);
    for (const step of undo.toReversed()) await step();
    for (const left of ['/tmp', '/var/tmp', '/dev/shm']) rmSync(join(left, `errand-left-${mark}`), { force: true });
  };
  const listen = async (options: ListenOptions): Promise<Server> => {
    const server = createServer((socket) => socket.on('error', () => {}).end(secret));
    undo.push(() => new Promise((done) => server.close(done)));
    server.listen(options);
    await once(server, 'listening');
    return server;
  };
  const portOf = async (host: string): Promise<number> => {
    try {
      const address = (await listen({ host, port: 0 })).address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    } catch {
      // This machine has no such address.
      return 0;
    }
  };

  try {
    mkdirSync(join(folder, 'outside'), { recursive: true, mode: 0o700 });
    const changeableFile = join(folder, 'changeable');
    writeFileSync(changeableFile, '', { mode: 0o600 });
    const dataSecret = secretFile(join(dataFolder, 'secret'));
    const process = await startPlant(program, secret, dataSecret);
    undo.push(process.end);
    const socketFolder = mkdtempSync(join(tmpdir(), 'errand-doctor-'));
    undo.push(() => rmSync(socketFolder, { recursive: true, force: true }));
    const socketFile = join(socketFolder, 'host.sock');
    await listen({ path: socketFile });
    const socketName = `errand-doctor-${mark}`;
    await listen({ path: `\0${socketName}` });
    const neighbourPort = await freePort();
    const planted: Planted = {
      secret,
      mark,
      outsideFile: join(folder, 'outside', 'made'),
      settingsFile: futureFile(`/etc/errand-probe-${mark}`),
      programsFile: futureFile(`/usr/bin/errand-probe-${mark}`),
      homeFile: futureFile(join(homedir(), `.errand-probe-${mark}`)),
      dataSecret,
      homeSecret: secretFile(join(homedir(), `.errand-secret-${mark}`)),
      changeableFile,
      dataFolder,
      workFolder,
      loaderCache: identityOf('/etc/ld.so.cache'),
      namesNamespace: readlinkSync('/proc/self/ns/uts'),
      socketFile,
      socketName,
      port: await portOf('127.0.0.1'),
      port6: await portOf('::1'),
      neighbourPort,
      ...process.about,
    };
    return { planted, confirm: makeConfirm(process, mark), remove };
  } catch (error) {
    await remove();
    throw error;
  }
};

type PlantedProcess = Pick<Planted, 'pid' | 'address' | 'segment' | 'descriptor' | 'disk' | 'handle' | 'terminal'>;

const startPlant = async (program: string, secret: string, dataSecret: string) => {
  const child = spawn(program, ['plant', secret, dataSecret], {
    env: { ERRAND_DOCTOR_SECRET: secret },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([once(lines, 'line'), exited]);
  if (typeof first[0] !== 'string') throw new Error('The process that probes are to attack did not start.');
  let signals = 0;
  lines.on('line', () => {
    signals += 1;
  });
  return {
    about: JSON.parse(first[0]) as PlantedProcess,
    signals: () => signals,
    async end() {
      child.stdin.end();
      await exited;
    },
  };
};

/** How long a signal may take to be heard. */
const HEARD_WITHIN_MS = 500;

const makeConfirm = ({ signals }: { signals: () => number }, mark: string) => {
  let heard = 0;
  return async (how: Confirmation, file: string): Promise<boolean> => {
    switch (how) {
      case 'file-made': {
        const isThere = existsSync(file);
        rmSync(file, { force: true });
        return isThere;
      }
      case 'file-changed': {
        const isChanged = readFileSync(file, 'latin1') !== '';
        writeFileSync(file, '');
        return isChanged;
      }
      case 'signal-heard': {
        for (let waited = 0; signals() === heard && waited < HEARD_WITHIN_MS; waited += 10) await sleep(10);
        const isHeard = signals() > heard;
        heard = signals();
        return isHeard;
      }
      case 'process-left': {
        const isLeft = processesNaming(`neighbour\0${mark}`).length > 0;
        killNaming(mark);
        return isLeft;
      }
    }
  };
};

/** One that nobody listens at now. */
const freePort = async (): Promise<number> => {
  const server = createServer().listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
};
