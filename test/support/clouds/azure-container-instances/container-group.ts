import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { type ContainerOptions, type GroupContainer, makeGroupContainer } from './group-container.ts';
import type { GroupRequest } from './request-schema.ts';

export interface GroupOptions extends ContainerOptions {
  /** Images that are taken, and then cannot be pulled. */
  readonly brokenImages?: readonly string[];
  /** From the making of a group until its first container runs. @default 30 */
  readonly startMs?: number;
  /** A group that is not provisioned by then says Failed, and goes on. @default 1800000, as in the cloud */
  readonly provisioningMs?: number;
  /** Between TERM and KILL. @default 30000 */
  readonly graceMs?: number;
  /** How often a container that fails is started again although its policy is Never, as the cloud may do. @default 0 */
  readonly restartsFailed?: number;
}

/** One container group: its containers in a row, and what the cloud says of them. */
export interface ContainerGroup {
  readonly name: string;
  readonly request: GroupRequest;
  /** The one of the first container. */
  readonly main: GroupContainer;
  readonly containers: readonly GroupContainer[];
  state(): 'Pending' | 'Running' | 'Stopped' | 'Succeeded' | 'Failed';
  isOver(): boolean;
  view(withInstance: boolean): Record<string, unknown>;
  /** Resolves once nothing of it runs. */
  stop(): Promise<void>;
  kill(): Promise<void>;
}

const RESTART_MS = 20;
const sleep = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    if (signal.aborted) wake();
    else signal.addEventListener('abort', wake, { once: true });
  });

/** `before`: what it takes the place of has ended. */
export const startGroup = (
  id: string,
  request: GroupRequest,
  options: GroupOptions,
  before: Promise<void>,
): ContainerGroup => {
  const { brokenImages = [], startMs = 30, provisioningMs = 1_800_000, graceMs = 30_000, restartsFailed = 0 } = options;
  const { properties } = request;
  const containers = properties.containers.map((one) => makeGroupContainer(one, options));
  const inits = (properties.initContainers ?? []).map((one) => makeGroupContainer(one, options));
  const [main] = containers;
  if (!main) throw new TypeError('A group has a container');
  const stopping = new AbortController();
  const createdAt = Date.now();
  let isProvisioned = false;
  let isOver = false;

  const pull = (one: GroupContainer): boolean => {
    const { image } = one.request.properties;
    one.note('Normal', 'Pulling', `pulling image "${image}"`);
    if (!brokenImages.includes(image)) {
      one.note('Normal', 'Pulled', `Successfully pulled image "${image}"`);
      return true;
    }
    one.note('Warning', 'Failed', `Failed to pull image "${image}": manifest for ${image} not found`);
    one.note('Normal', 'BackOff', `Back-off pulling image "${image}"`);
    return false;
  };

  const restarts = (one: GroupContainer, exitCode: number): boolean => {
    if (stopping.signal.aborted) return false;
    if (properties.restartPolicy === 'Always') return true;
    return exitCode !== 0 && (properties.restartPolicy === 'OnFailure' || one.runs() <= restartsFailed);
  };

  const carry = async (one: GroupContainer, volumes: ReadonlyMap<string, string>): Promise<void> => {
    while (restarts(one, await one.run(volumes))) {
      one.waitAgain();
      await sleep(RESTART_MS, stopping.signal);
      if (stopping.signal.aborted) return;
    }
  };

  const deploy = async (): Promise<void> => {
    await before;
    await sleep(startMs, stopping.signal);
    if (stopping.signal.aborted) return;
    // Not all(): each of them says what became of it.
    if ([...inits, ...containers].map(pull).includes(false)) return sleep(2 ** 30, stopping.signal);
    const volumes = new Map(
      (properties.volumes ?? []).map(({ name }) => [name, mkdtempSync(join(options.folder, 'volume-'))]),
    );
    for (const one of inits) {
      if ((await one.run(volumes)) !== 0 || stopping.signal.aborted) return;
    }
    isProvisioned = true;
    await Promise.all(containers.map((one) => carry(one, volumes)));
  };

  const deployed = deploy().then(() => {
    isOver = true;
  });

  const state = (): ReturnType<ContainerGroup['state']> => {
    if (isOver && stopping.signal.aborted) return 'Stopped';
    if (!isOver) return isProvisioned ? 'Running' : 'Pending';
    return containers.every((one) => one.exitCode() === 0) ? 'Succeeded' : 'Failed';
  };

  const provisioningState = (): string => {
    if (isProvisioned || isOver) return 'Succeeded';
    const age = Date.now() - createdAt;
    if (age > provisioningMs) return 'Failed';
    return age < startMs ? 'Pending' : 'Creating';
  };

  return {
    name: id.split('/').at(-1) ?? '',
    request,
    main,
    containers,
    state,
    isOver: () => isOver,
    view: (withInstance) => ({
      name: id.split('/').at(-1),
      type: 'Microsoft.ContainerInstance/containerGroups',
      id,
      location: request.location,
      ...(request.tags ? { tags: request.tags } : {}),
      properties: {
        containers: containers.map((one) => one.view(withInstance)),
        initContainers: inits.map((one) => one.view(withInstance)),
        ...(withInstance ? { instanceView: { events: [], state: state() } } : {}),
        osType: properties.osType,
        provisioningState: provisioningState(),
        restartPolicy: properties.restartPolicy,
        sku: properties.sku,
        ...(properties.volumes ? { volumes: properties.volumes } : {}),
        ...(properties.subnetIds ? { subnetIds: properties.subnetIds } : {}),
      },
    }),
    async stop() {
      // One that has ended by itself keeps its state.
      if (isOver) return;
      stopping.abort();
      for (const one of [...inits, ...containers]) one.stop(graceMs);
      await deployed;
    },
    async kill() {
      stopping.abort();
      for (const one of [...inits, ...containers]) one.crash();
      await deployed;
    },
  };
};
