import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Container, startContainer } from '../container.ts';
import type { ContainerRequest } from './request-schema.ts';

export interface ContainerOptions {
  /** Containers have their folders in here. */
  readonly folder: string;
  /** What stands for a program in an image, by its path there. */
  readonly programs?: Readonly<Record<string, readonly string[]>>;
  /** Folders that stand for the files of an image, by its name. */
  readonly images?: Readonly<Record<string, string>>;
}

/** One container of a group, over all its restarts. */
export interface GroupContainer {
  readonly request: ContainerRequest;
  /** How often it was started. */
  runs(): number;
  /** Resolves with the exit code. */
  run(volumes: ReadonlyMap<string, string>): Promise<number>;
  /** It ended, and will be started again. */
  waitAgain(): void;
  note(type: 'Normal' | 'Warning', name: string, message: string): void;
  state(): 'Waiting' | 'Running' | 'Terminated';
  exitCode(): number | undefined;
  log(): string;
  stop(graceMs: number): void;
  crash(how?: { outOfMemory: boolean }): void;
  view(withInstance: boolean): object;
}

type State = Readonly<Record<string, string | number>> & { readonly state: 'Waiting' | 'Running' | 'Terminated' };

/** As shells have it. */
const NO_PROGRAM = 127;

/** Second precision, as in the examples. */
const timestamp = (): string => `${new Date().toISOString().slice(0, 19)}Z`;

export const makeGroupContainer = (request: ContainerRequest, options: ContainerOptions): GroupContainer => {
  const { image, command = [], environmentVariables = [], volumeMounts = [] } = request.properties;
  const events = new Map<
    string,
    { name: string; type: string; count: number; message: string; [time: string]: unknown }
  >();
  let current: State = { state: 'Waiting', detailStatus: '' };
  let previous: State | undefined;
  let running: Container | undefined;
  let earlierLogs = '';
  let runs = 0;
  let isOutOfMemory = false;

  const note: GroupContainer['note'] = (type, name, message) => {
    const now = timestamp();
    const seen = events.get(name + message);
    events.delete(name + message);
    events.set(name + message, {
      name,
      type,
      count: (seen?.count ?? 0) + 1,
      firstTimestamp: seen?.['firstTimestamp'] ?? now,
      lastTimestamp: now,
      message,
    });
  };

  /** A process of this machine has no mounts of its own, so that the paths under them are written as what is there. */
  const toLocal = (path: string, volumes: ReadonlyMap<string, string>): string => {
    const mount = volumeMounts.find(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath}/`));
    if (mount) return `${volumes.get(mount.name)}${path.slice(mount.mountPath.length)}`;
    const root = options.images?.[image];
    return root !== undefined && path.startsWith('/') && existsSync(join(root, path)) ? `${root}${path}` : path;
  };

  return {
    request,
    runs: () => runs,
    async run(volumes) {
      const env = Object.fromEntries(environmentVariables.map((one) => [one.name, one.secureValue ?? one.value ?? '']));
      runs++;
      isOutOfMemory = false;
      note('Normal', 'Started', 'Started container');
      const startTime = timestamp();
      current = { state: 'Running', startTime, detailStatus: '' };
      const words = command.map((word) => toLocal(word, volumes));
      running = startContainer({ command: words, env, folder: options.folder, programs: options.programs ?? {} });
      const { exitCode = NO_PROGRAM, signal } = await running.ended;
      const code = signal === undefined ? exitCode : 128 + signal;
      earlierLogs += running.log();
      running = undefined;
      const detailStatus = isOutOfMemory ? 'OOMKilled' : code === 0 ? 'Completed' : 'Error';
      current = { state: 'Terminated', startTime, exitCode: code, finishTime: timestamp(), detailStatus };
      return code;
    },
    waitAgain() {
      previous = current;
      current = { state: 'Waiting', detailStatus: 'CrashLoopBackOff: Back-off restarting failed' };
    },
    note,
    state: () => current.state,
    exitCode: () => current['exitCode'] as number | undefined,
    log: () => earlierLogs + (running?.log() ?? ''),
    stop(graceMs) {
      if (running) note('Normal', 'Killing', 'Killing container');
      running?.stop(graceMs);
    },
    crash(how) {
      isOutOfMemory = how?.outOfMemory === true;
      running?.kill();
    },
    view(withInstance) {
      return {
        name: request.name,
        properties: {
          ...request.properties,
          command,
          environmentVariables: environmentVariables.map(({ secureValue: _secret, ...one }) => one),
          ...('resources' in request.properties ? { ports: request.properties.ports ?? [] } : {}),
          ...(withInstance
            ? {
                instanceView: {
                  restartCount: Math.max(0, runs - 1),
                  currentState: current,
                  ...(previous ? { previousState: previous } : {}),
                  events: [...events.values()],
                },
              }
            : {}),
        },
      };
    },
  };
};
