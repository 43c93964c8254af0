import { type Container, type ContainerEnd, startContainer } from '../container.ts';

export interface GroupOptions {
  /** Containers have their folders in here. */
  readonly folder: string;
  /** What stands for a program in an image. */
  readonly programs?: Readonly<Record<string, readonly string[]>>;
  /** Images that cannot be pulled. */
  readonly brokenImages?: readonly string[];
  /** From the making of a group until its containers run. @default 30 */
  readonly startMs?: number;
  /** Between TERM and KILL of a stop. @default 30000 */
  readonly graceMs?: number;
  /** A container that fails is started again, whatever the policy says, as the documentation warns. @default false */
  readonly restartsFailed?: boolean;
}

interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly secureValue?: string;
}
export interface ContainerProperties {
  readonly image: string;
  readonly command?: readonly string[];
  readonly environmentVariables?: readonly EnvVar[];
}
export interface GroupBody {
  readonly location: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly properties: {
    readonly containers: readonly { readonly name: string; readonly properties: ContainerProperties }[];
    readonly initContainers?: readonly { readonly name: string; readonly properties: ContainerProperties }[];
    readonly [more: string]: unknown;
  };
}

export interface Group {
  readonly name: string;
  /** How often its command was started. */
  starts(): number;
  /** As GET gives it; lists leave the instance view out. */
  view(options?: { readonly withInstanceView: boolean }): Record<string, unknown>;
  /** A PUT on a name that is there: its containers are started again. */
  redeploy(): void;
  isRunning(): boolean;
  stop(): void;
  /** What is left of the log: 16 KB or 1,000 lines once it does not run. */
  log(tail: number | undefined): string;
  crash(): void;
  kill(): Promise<void>;
}

const STOPPED_LOG_BYTES = 16 * 1024;
const STOPPED_LOG_LINES = 1_000;
const MOST_STARTS = 3;

export const makeGroup = (id: string, name: string, body: GroupBody, options: GroupOptions): Group => {
  const { folder, programs = {}, brokenImages = [], startMs = 30, graceMs = 30_000, restartsFailed = false } = options;
  const [own] = body.properties.containers;
  const isBroken = brokenImages.includes(own?.properties.image ?? '');
  let running: Container | undefined;
  let last: { log: string; end: ContainerEnd } | undefined;
  let starts = 0;
  let restarts = 0;
  let stopped = false;
  let startedAt: string | undefined;
  let finishedAt: string | undefined;
  let timer: NodeJS.Timeout | undefined;

  const run = ({ command = [], environmentVariables = [] }: ContainerProperties): Container =>
    startContainer({
      command,
      env: Object.fromEntries(environmentVariables.map((one) => [one.name, one.secureValue ?? one.value ?? ''])),
      folder,
      programs,
    });

  const start = async (): Promise<void> => {
    if (isBroken || stopped) return;
    for (const { properties } of body.properties.initContainers ?? []) {
      if ((await run(properties).ended).exitCode !== 0) return;
    }
    if (!own || stopped) return;
    starts++;
    startedAt = new Date().toISOString();
    const container = run(own.properties);
    running = container;
    const end = await container.ended;
    running = undefined;
    last = { log: container.log(), end };
    finishedAt = new Date().toISOString();
    if (restartsFailed && (end.exitCode !== 0 || end.signal !== 0) && !stopped && starts < MOST_STARTS) {
      restarts++;
      await start();
    }
  };
  timer = setTimeout(start, startMs);

  const exitCode = (): number => (last ? last.end.exitCode || (last.end.signal ? 128 + last.end.signal : 0) : 0);

  const currentState = (): object => {
    if (running) return { state: 'Running', startTime: startedAt, detailStatus: '' };
    if (last) {
      const detailStatus = exitCode() === 0 ? 'Completed' : exitCode() === 137 ? 'OOMKilled' : 'Error';
      return { state: 'Terminated', startTime: startedAt, exitCode: exitCode(), finishTime: finishedAt, detailStatus };
    }
    return { state: 'Waiting', detailStatus: isBroken ? 'ImagePullBackOff' : '' };
  };

  const groupState = (): string => {
    if (running) return 'Running';
    if (stopped) return 'Stopped';
    return last ? (exitCode() === 0 ? 'Succeeded' : 'Failed') : 'Pending';
  };

  const events = (): object[] =>
    isBroken
      ? [
          {
            count: 1,
            name: 'Failed',
            type: 'Warning',
            message: `Failed to pull image "${own?.properties.image}": not found`,
          },
        ]
      : [];

  return {
    name,
    starts: () => starts,
    view: ({ withInstanceView } = { withInstanceView: true }) => ({
      id,
      name,
      type: 'Microsoft.ContainerInstance/containerGroups',
      location: body.location,
      tags: body.tags ?? {},
      properties: {
        initContainers: [],
        ...body.properties,
        provisioningState: isBroken ? 'Creating' : starts > 0 ? 'Succeeded' : 'Pending',
        containers: body.properties.containers.map((one) => ({
          name: one.name,
          properties: {
            ...one.properties,
            // A secure value is never shown again.
            environmentVariables: (one.properties.environmentVariables ?? []).map(({ name: variable, value }) => ({
              name: variable,
              ...(value === undefined ? {} : { value }),
            })),
            ...(withInstanceView
              ? { instanceView: { restartCount: restarts, currentState: currentState(), events: events() } }
              : {}),
          },
        })),
        ...(withInstanceView ? { instanceView: { events: [], state: groupState() } } : {}),
      },
    }),
    redeploy() {
      stopped = false;
      running?.kill();
      clearTimeout(timer);
      timer = setTimeout(start, startMs);
    },
    isRunning: () => running !== undefined,
    stop() {
      stopped = true;
      running?.stop(graceMs);
    },
    log(tail) {
      const text = running?.log() ?? last?.log ?? '';
      const kept = running ? text : text.split('\n').slice(-STOPPED_LOG_LINES).join('\n').slice(-STOPPED_LOG_BYTES);
      return tail === undefined ? kept : kept.split('\n').slice(-tail).join('\n');
    },
    crash: () => running?.kill(),
    async kill() {
      stopped = true;
      clearTimeout(timer);
      const container = running;
      container?.kill();
      await container?.ended;
    },
  };
};
