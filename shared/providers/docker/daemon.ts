import type { Socket } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type Docker from 'dockerode';
import type { Clock } from '../../domain/clock.ts';
import { CALL_MS, closeClient, makeBounded, openClient, post } from './client.ts';
import type { DockerConfig } from './config.ts';
import type { Container } from './containers.ts';
import { isBeingRemoved, isNotFound } from './faults.ts';

const PING_MS = 5_000;
const KEEP_ALIVE_MS = 30_000;

export interface Inspected extends Container {
  readonly status: string;
  readonly hasStarted: boolean;
  /** Of its first process, once that has ended. */
  readonly exitCode: number | undefined;
  readonly isOutOfMemory: boolean;
}

export interface Pull {
  readonly repository: string;
  readonly tag: string;
  readonly auth: { readonly username: string; readonly password: string } | undefined;
  readonly forMs: number;
}

/**
 * The calls of Docker's API that are needed. Each is made once and ends in time; whether to ask again is for the caller.
 * They throw what the client throws, and `Unanswered`.
 */
export interface Daemon {
  ping(): Promise<void>;
  /** Speaks Docker's API and is Podman, which differs in a few points. */
  isPodman(): Promise<boolean>;
  /** @returns the id */
  create(name: string, container: object): Promise<string>;
  /** Either what a container says, both streams in frames, or its input. Open until it ends. */
  attach(id: string, what: 'output' | 'input'): Promise<Duplex>;
  start(id: string): Promise<void>;
  /** The status of its first process once that has ended. Not bounded but by `signal`. */
  wait(id: string, signal: AbortSignal): Promise<number>;
  inspect(nameOrId: string): Promise<Inspected | undefined>;
  /** Whether a created container has this folder by its image, and not only since it was asked for. */
  hasFolder(id: string, path: string): Promise<boolean>;
  signal(id: string, signal: string): Promise<void>;
  pause(id: string): Promise<void>;
  unpause(id: string): Promise<void>;
  /** TERM, grace, KILL; as Docker does it by itself. */
  stop(id: string, graceSeconds: number): Promise<void>;
  /** With all that runs in it; one that is not there is fine. */
  remove(id: string): Promise<void>;
  list(labels: Readonly<Record<string, string>>): Promise<readonly Container[]>;
  pull(pull: Pull): Promise<void>;
  close(): void;
}

export const openDaemon = async (
  config: DockerConfig,
  { clock, socketPath }: { clock: Clock; socketPath: string },
): Promise<Daemon> => {
  const docker = await openClient(config, socketPath);
  const closed = new AbortController();
  const bounded = makeBounded(clock, closed.signal);
  let podman: Promise<boolean> | undefined;
  const of = (id: string) => docker.getContainer(id);

  const askIsPodman = async (): Promise<boolean> => {
    const { Components = [] } = await bounded(
      (abortSignal) =>
        docker.version({ abortSignal } as never) as unknown as Promise<{
          Components?: readonly { readonly Name: string }[];
        }>,
    );
    return Components.some(({ Name }) => Name === 'Podman Engine');
  };

  const inspect = async (nameOrId: string): Promise<Inspected | undefined> => {
    try {
      const { Id, State, Config, Created } = await bounded((abortSignal) => of(nameOrId).inspect({ abortSignal }));
      return {
        id: Id,
        labels: Config.Labels ?? {},
        createdAt: Date.parse(Created) || undefined,
        status: State.Status,
        hasStarted: !State.StartedAt.startsWith('0001-'),
        exitCode: State.Status === 'exited' ? State.ExitCode : undefined,
        isOutOfMemory: State.OOMKilled,
      };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };

  return {
    ping: async () =>
      void (await bounded(
        (abortSignal) => docker.ping({ abortSignal } as never) as unknown as Promise<unknown>,
        PING_MS,
      )),

    isPodman() {
      podman ??= askIsPodman();
      podman.catch(() => (podman = undefined));
      return podman;
    },

    async create(name, container) {
      // Apart: by itself the client puts all of the container into the URL too.
      const options = { _query: { name }, _body: container };
      const { id } = await bounded((abortSignal) =>
        docker.createContainer({ ...options, abortSignal } as unknown as Docker.ContainerCreateOptions),
      );
      return id;
    },

    attach: (id, what) =>
      bounded(async (abortSignal) => {
        const streams = what === 'input' ? { stdin: 1 } : { stdout: 1, stderr: 1 };
        const path = `/containers/${id}/attach`;
        const connection = await post(docker, path, { query: { stream: 1, ...streams }, hijack: true, abortSignal });
        // Nothing may be said for hours.
        (connection as Socket).setKeepAlive(true, KEEP_ALIVE_MS);
        // What breaks is seen where it is read or written.
        return connection.on('error', () => {});
      }),

    start: async (id) => void (await bounded((abortSignal) => of(id).start({ abortSignal }), START_MS)),

    async wait(id, abortSignal) {
      // How often Podman looks; Docker is told.
      const answer = await post(docker, `/containers/${id}/wait`, { query: { interval: '50ms' }, abortSignal });
      const { StatusCode } = JSON.parse(await text(answer)) as { StatusCode?: unknown };
      if (typeof StatusCode !== 'number') throw new Error('The daemon did not say how a container ended.');
      return StatusCode;
    },

    inspect,

    async hasFolder(id, path) {
      // Docker makes it when the container is made, Podman when that starts.
      const changes = await bounded(
        (abortSignal) => of(id).changes({ abortSignal }) as Promise<readonly { Path: string; Kind: number }[] | null>,
      );
      const isMade = (changes ?? []).some(({ Path, Kind }) => Kind === ADDED && Path === path.replace(/(.)\/+$/, '$1'));
      if (isMade) return false;
      try {
        const answer = await bounded((abortSignal) => of(id).infoArchive({ path, abortSignal } as never));
        (answer as unknown as Readable).resume();
        return true;
      } catch (error) {
        if (isNotFound(error)) return false;
        throw error;
      }
    },

    signal: async (id, signal) => void (await bounded((abortSignal) => of(id).kill({ signal, abortSignal }))),
    pause: async (id) => void (await bounded((abortSignal) => of(id).pause({ abortSignal }))),
    unpause: async (id) => void (await bounded((abortSignal) => of(id).unpause({ abortSignal }))),
    stop: async (id, graceSeconds) => {
      const t = Math.ceil(graceSeconds);
      await bounded((abortSignal) => of(id).stop({ t, abortSignal }), CALL_MS + t * 1_000);
    },

    async remove(id) {
      try {
        await bounded((abortSignal) => of(id).remove({ force: true, v: true, abortSignal }), REMOVE_MS);
      } catch (error) {
        if (isNotFound(error)) return;
        if (!isBeingRemoved(error)) throw error;
        // By someone else: it is not gone before they are done.
        for (let looks = 1; await inspect(id); looks++) {
          if (looks >= REMOVAL_LOOKS) throw error;
          await clock.sleep(REMOVAL_LOOK_MS);
        }
      }
    },

    async list(labels) {
      const filters = { label: Object.entries(labels).map(([name, value]) => `${name}=${value}`) };
      const found = await bounded((abortSignal) => docker.listContainers({ all: true, filters, abortSignal }));
      return found.map(({ Id, Labels, Created }) => ({ id: Id, labels: Labels ?? {}, createdAt: Created * 1_000 }));
    },

    pull: ({ repository, tag, auth, forMs }) =>
      bounded(async (abortSignal) => {
        const options = { _query: { fromImage: repository, tag }, _body: {}, abortSignal };
        const progress = (await docker.createImage(auth as never, options)) as unknown as Readable;
        await untilPulled(progress);
      }, forMs),

    close() {
      closed.abort();
      closeClient(docker);
    },
  };
};

/** Of a change of a container's file system. */
const ADDED = 1;
/** Runtimes on busy machines take seconds. */
const START_MS = 30_000;
const REMOVE_MS = 30_000;
const REMOVAL_LOOKS = 100;
const REMOVAL_LOOK_MS = 100;

/** It answers 200 at once; what goes wrong then is in a line of the progress. */
const untilPulled = async (progress: Readable): Promise<void> => {
  let rest = '';
  for await (const bytes of progress) {
    const lines = (rest + String(bytes)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) throwIfError(line);
  }
  throwIfError(rest);
};

const throwIfError = (line: string): void => {
  if (!line.includes('"error"')) return;
  const { error } = JSON.parse(line) as { error?: string };
  // As a refusal: the registry has no such image, or does not give it.
  if (error !== undefined) throw Object.assign(new Error(error), { statusCode: 400 });
};
