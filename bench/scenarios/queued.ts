import { writeFileSync } from 'node:fs';
import { type Client, makeClient } from '../../clients/sdk/client.ts';

export interface QueuedOptions {
  readonly commands: number;
  readonly tenants: number;
  /** Of the server. */
  readonly concurrency: number;
  /** A file that is not there: until it is made, all that run wait for it, so that the others have to queue. */
  readonly gate: string;
}

export interface QueuedFigures {
  readonly submittedPerSecond: number;
  /** Acknowledged, and not there or not succeeded at the end. */
  readonly lost: number;
  /**
   * The fewest starts of a tenant as a share of the most, while all of them had commands waiting; one of them had submitted half of all, before
   * the others came. Undefined when nothing had to wait.
   */
  readonly leastShare: number | undefined;
  /** From the submission of one command of one more tenant, behind all that waits, to its start. */
  readonly newcomerStartMs: number;
}

const AT_ONCE = 50;

/** A queue full of commands of many tenants, one of which wants half of all there is; and a newcomer. */
export const queueUp = async (client: Client, options: QueuedOptions): Promise<QueuedFigures> => {
  const { commands, tenants, concurrency } = options;
  const clients: Client[] = [];
  for (let n = 0; n <= tenants; n++) {
    const { key } = await client.addTenant({ id: `load-${n}`, name: `load-${n}` });
    clients.push(makeClient({ url: client.url, apiKey: key }));
  }
  const newcomer = clients.pop() as Client;
  const greedy = Math.ceil(commands / 2);
  const each = Math.ceil((commands - greedy) / (tenants - 1));
  const isOpen = `until [ -e ${options.gate} ]; do sleep 0.2; done`;
  await Promise.all(Array.from({ length: concurrency }, () => client.submit({ script: isOpen })));
  // Room for one each is left beside those.
  await Promise.all(clients.map((one) => one.submit({ script: isOpen })));
  const began = performance.now();
  const ids = clients.map(() => new Set<string>());
  await submitMany(clients[0] as Client, greedy, ids[0] as Set<string>, AT_ONCE);
  await Promise.all(clients.slice(1).map((one, n) => submitMany(one, each, ids[n + 1] as Set<string>, AT_ONCE / 10)));
  const submittedPerSecond = (greedy + each * (tenants - 1)) / ((performance.now() - began) / 1_000);
  const openedAt = Date.now();
  writeFileSync(options.gate, '');
  const single = await newcomer.run({ argv: ['true'] });
  const newcomerStartMs = Date.parse(single.startedAt as string) - Date.parse(single.submittedAt);
  const starts = await Promise.all(clients.map((one, n) => startsOf(one, ids[n] as Set<string>)));
  return {
    submittedPerSecond,
    lost: starts.reduce((sum, { lost }) => sum + lost, 0),
    leastShare: leastShareOf(
      starts.map(({ at }) => at),
      openedAt,
    ),
    newcomerStartMs,
  };
};

const submitMany = async (client: Client, count: number, ids: Set<string>, atOnce: number): Promise<void> => {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) ids.add((await client.submit({ argv: ['true'] })).id);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
};

/** When the commands of a tenant started, once all of them have ended. */
const startsOf = async (client: Client, ids: ReadonlySet<string>) => {
  for (const id of ids) {
    for (let command = await client.get(id); command.endedAt === null; )
      command = await client.get(id, { waitSeconds: 60 });
  }
  const missing = new Set(ids);
  const at: number[] = [];
  for await (const { id, status, startedAt } of client.list()) {
    if (status === 'succeeded') missing.delete(id);
    if (startedAt !== null) at.push(Date.parse(startedAt));
  }
  return { lost: missing.size, at };
};

/** @param startsByTenant each in any order */
export const leastShareOf = (startsByTenant: readonly (readonly number[])[], from: number): number | undefined => {
  // Until the first of them has nothing left that waits.
  const until = Math.min(...startsByTenant.map((starts) => Math.max(...starts)));
  const counts = startsByTenant.map((starts) => starts.filter((at) => at >= from && at < until).length);
  const most = Math.max(...counts);
  return most === 0 ? undefined : Math.min(...counts) / most;
};
