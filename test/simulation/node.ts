import { fireSchedulesEachMinute } from '../../functions/workers/fire-schedules.ts';
import { sweepOnSchedule } from '../../functions/workers/sweep.ts';
import { keepFiring } from '../../local/firing.ts';
import { keepSweeping } from '../../local/sweeping.ts';
import { advance } from '../../shared/app/advance.ts';
import { checkTargets } from '../../shared/app/check-targets.ts';
import type { Deps, Target } from '../../shared/app/deps.ts';
import { endOrphans } from '../../shared/app/end-orphans.ts';
import { makeDeps } from '../../shared/app/make-deps.ts';
import { recover, sweep } from '../../shared/app/sweep.ts';
import { sweepWorkflows } from '../../shared/app/sweep-workflows.ts';
import { ownerOf } from '../../shared/domain/actor.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import { type Changes, inProcessChanges } from '../../shared/events/changes.ts';
import { inProcessQueue } from '../../shared/queue/in-process.ts';
import { consumeSqsBatch } from '../../shared/queue/sqs-batch.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { testAudit } from '../support/audit.ts';
import type { Faults } from './faults.ts';
import { laterQueue, laterStore, readLaterMessage } from './later-version.ts';
import type { Life } from './life.ts';
import { type Blobs, objectsOf } from './memory-objects.ts';
import type { Memory } from './memory-store.ts';
import type { Place, Served } from './place.ts';
import type { FarQueue } from './simulated-queue.ts';
import { storeOf } from './simulated-store.ts';
import type { World } from './world.ts';

// What the product loads when it first needs it would come in the machine's time, not in the world's.
await Promise.all([
  import('../../shared/policy/reading.ts'),
  import('../../shared/policy/decide.ts'),
  import('../../shared/app/advance-workflow.ts'),
]);

export interface NodeParts {
  readonly world: World;
  readonly faults: Faults;
  readonly memory: Memory;
  readonly blobs: Blobs;
  readonly place: Place;
  readonly second: Place | undefined;
  /** Undefined: one machine, on which each process has a queue of its own and the store is a file. */
  readonly farQueue: FarQueue | undefined;
  readonly seals: boolean;
  /** What there is beside commands: schedules to be fired, workflows to be looked at. */
  readonly also: 'schedules' | 'workflows' | undefined;
  /** Asked at each write: whether its answer is lost. */
  readonly losesAnswer: () => boolean;
  /** Whether it is of the version after this one. */
  readonly isLater?: boolean;
}

const OWNER = ownerOf(toTenantId('default'));
export const TARGET = 'place';
export const SECOND_TARGET = 'second-place';
const SWEEP_EVERY_MS = 60_000;
const FIRE_EVERY_MS = 60_000;
const ORPHANS_EVERY_MS = 10 * 60_000;

/** Starts a process of the control plane: all of it, from the use cases to the repositories, on simulated ports. */
export const startNode = (life: Life, parts: NodeParts): Served => {
  const { world, faults, memory, blobs, place, second, farQueue, seals, also, losesAnswer, isLater = false } = parts;
  const store = storeOf(life, { world, faults, memory, losesAnswer, atomicWrites: farQueue ? 'costly' : 'free' });
  const sender = farQueue?.sender(life);
  const nearQueue = farQueue ? undefined : inProcessQueue({ clock: life.clock });
  const deps = makeDeps({
    ...testAudit,
    // What is not to be looked at costs most of a sweep.
    auditSettleSeconds: seals ? (farQueue ? 60 : 0) : 1e9,
    clock: life.clock,
    random: life.random,
    access: {
      authenticate: async () => OWNER,
      actorOf: async () => OWNER,
      takesTokens: false,
      issuers: async () => [],
    },
    store: isLater ? laterStore(store) : store,
    objects: objectsOf(life, { world, faults, blobs }),
    vault: NO_VAULT,
    queue: sender ? (isLater ? laterQueue(sender) : sender) : (nearQueue as NonNullable<typeof nearQueue>),
    changes: changesOf(life, faults),
    targets: [targetAt(life, TARGET, place), ...(second ? [targetAt(life, SECOND_TARGET, second)] : [])],
    worker: life.name,
    lookEverySeconds: 1,
    closing: new AbortController().signal,
    log: logOf(world, life),
  });
  if (nearQueue) {
    nearQueue.consume(async (wakeUp) => void (await advance(deps, wakeUp)), { concurrency: 8 });
    void (seals ? keepSweeping(deps) : sweepOnly(deps, { also }));
    if (also === 'schedules') void keepFiring(deps);
  } else {
    farQueue?.consume(life, (body) => handleMessage(deps, isLater ? readLaterMessage(body) : body));
    void sweepEachMinute(deps, world, { seals, also });
    if (also === 'schedules') void fireEachMinute(deps);
  }
  return { life, deps, isLater };
};

const targetAt = (life: Life, name: string, place: Place): Target => {
  const provider = place.adapter(life);
  return {
    name,
    provider: provider.name,
    features: place.features,
    load: async () => provider,
    health: () => provider.health(),
  };
};

/** As SQS hands it to a worker, in the shipped form. */
const handleMessage = async (deps: Deps, body: string): Promise<boolean> => {
  const record = { messageId: '1', body, eventSourceARN: '', attributes: {} };
  const event = { Records: [record] } as unknown as Parameters<typeof consumeSqsBatch>[0];
  const { batchItemFailures } = await consumeSqsBatch(
    event,
    async (wakeUp) => void (await advance(deps, wakeUp)),
    deps,
  );
  return batchItemFailures.length === 0;
};

/** A schedule elsewhere, by the true time. What fails, the next minute does. */
const sweepEachMinute = async (
  deps: Deps,
  world: World,
  { seals, also }: Pick<NodeParts, 'seals' | 'also'>,
): Promise<void> => {
  const onSchedule = sweepOnSchedule(deps);
  if (!seals) return sweepOnly(deps, { also, everyMs: SWEEP_EVERY_MS });
  for (;;) {
    await deps.clock.sleep(SWEEP_EVERY_MS);
    // The next one does not wait for it: what is slow would keep all else waiting.
    void onSchedule({ time: new Date(world.now()).toISOString() }).catch((error: unknown) =>
      deps.log.error('A sweep failed', { error }),
    );
  }
};

/** As the rule of EventBridge calls it; each process for itself, so that several do at once. */
const fireEachMinute = async (deps: Deps): Promise<void> => {
  const fire = fireSchedulesEachMinute(deps);
  for (;;) {
    void fire().catch((error: unknown) => deps.log.error('A look at the schedules failed', { error }));
    await deps.clock.sleep(FIRE_EVERY_MS);
  }
};

/** What the shipped loops do, without the audit log, which costs more than all the rest. */
const sweepOnly = async (
  deps: Deps,
  { also, everyMs = 5_000 }: Pick<NodeParts, 'also'> & { readonly everyMs?: number },
): Promise<void> => {
  const hasWorkflows = also === 'workflows';
  const attempt = (what: Promise<unknown>) =>
    what.catch((error: unknown) => deps.log.error('A sweep failed', { error }));
  const isNear = deps.store.atomicWrites === 'free';
  if (isNear) {
    await attempt(recover(deps));
    if (hasWorkflows) await attempt(sweepWorkflows(deps, { all: true }));
    await attempt(endOrphans({ ...deps, targets: deps.targets.filter(({ features }) => features.mode === 'inline') }));
  }
  for (let pass = 1; ; pass++) {
    await deps.clock.sleep(everyMs);
    const sweeping = attempt(sweep(deps).then(() => checkTargets(deps, { only: 'troubled' })));
    if (hasWorkflows) void attempt(sweepWorkflows(deps));
    // Where a schedule calls, the next call does not wait for the last.
    if (isNear) await sweeping;
    if ((pass * everyMs) % ORPHANS_EVERY_MS === 0) await attempt(endOrphans(deps));
  }
};

const changesOf = (life: Life, faults: Faults): Changes => {
  const changes = inProcessChanges(life.clock);
  return {
    ...changes,
    announce(reference, topic, record) {
      if (!faults.strikes('change-unannounced')) changes.announce(reference, topic, record);
    },
  };
};

const logOf = (world: World, { name }: Life): Log => {
  const write = (message: string, fields: Readonly<Record<string, unknown>> = {}) => {
    const { error } = fields;
    world.note(name, `logs: ${message}${error instanceof Error ? ` (${error.message})` : ''}`);
  };
  return { debug: () => {}, info: write, warn: write, error: write };
};

const none = async (): Promise<never> => {
  throw new Error('There are no secrets in the simulation.');
};
const NO_VAULT = { put: none, get: none, drop: none, remove: none, removeAll: none };
