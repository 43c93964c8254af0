import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemResolve } from '../machine/resolver.ts';
import { makeAccess } from '../shared/access/access.ts';
import { advance } from '../shared/app/advance.ts';
import type { Deps, Target } from '../shared/app/deps.ts';
import { endAllSessions } from '../shared/app/end-session.ts';
import { makeDeps } from '../shared/app/make-deps.ts';
import type { Clock, Random } from '../shared/domain/clock.ts';
import { isLoopbackAddress } from '../shared/egress/addresses.ts';
import { makeEgress } from '../shared/egress/egress.ts';
import { inProcessChanges } from '../shared/events/changes.ts';
import { filesObjects } from '../shared/objects/files.ts';
import { PRICES_PER_HOUR } from '../shared/providers/prices.ts';
import { loadProvider, providers } from '../shared/providers/registry.ts';
import { configureTarget } from '../shared/providers/targets.ts';
import { inProcessQueue } from '../shared/queue/in-process.ts';
import type { Queue, WakeUp } from '../shared/queue/queue.ts';
import { sealedFiles } from '../shared/secrets/sealed-files.ts';
import { makePrincipals } from '../shared/store/principals.ts';
import { isWorkflowReference } from '../shared/store/schema.ts';
import { countedLog } from '../shared/telemetry/counted-log.ts';
import type { Log } from '../shared/telemetry/log.ts';
import { noMetrics } from '../shared/telemetry/metrics.ts';
import { openTracing } from '../shared/telemetry/open-tracing.ts';
import type { PrometheusOptions } from '../shared/telemetry/prometheus.ts';
import { signerOf } from './audit-key.ts';
import { installationOf } from './installation.ts';
import { openIssuers } from './issuers.ts';
import { meteredStore } from './metered-store.ts';
import { openStore } from './open-store.ts';
import { ownerKeyOf } from './owner-key.ts';
import { readTargets } from './targets.ts';
import { vaultKeyOf } from './vault-key.ts';
import { openWorkerLocks } from './worker-locks.ts';

/** What Standard Webhooks gives a receiver, at the least. */
const WEBHOOK_SECONDS = 15;

export interface OpenDataOptions {
  /** Made if it is not there, readable by its owner only. */
  readonly dataDirectory: string;
  /** Whether this process takes commands off the queue. @default true */
  readonly work?: boolean;
  /** How many commands run at once; the others wait. @default 64 */
  readonly concurrency?: number;
  /** Whether to find out if isolation `sandbox` can be given here: about 10 ms. @default true */
  readonly trySandbox?: boolean;
  /** Whether webhooks may point to this machine itself, also without TLS. @default false */
  readonly loopbackWebhooks?: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Whether figures are kept of what happens here, for GET /metrics. @default false */
  readonly counts?: boolean;
  /** Where runners elsewhere reach this process, known once it listens. Only asked for when such a target is used. */
  readonly runnerUrl: () => string;
}

export interface OpenData {
  readonly deps: Deps;
  /** Of whoever owns the data folder. */
  readonly ownerKey: string;
  /** Whether commands may run elsewhere, so that runners have to reach this process at `runnerUrl`. */
  readonly expectsRunners: boolean;
  /** Ends what runs in this process, stores how it ended, and lets go of the data. */
  close(): Promise<void>;
}

/** Looks at them, which are short. */
const WORKFLOWS_AT_ONCE = 4;

/** Wires everything together over one folder: SQLite, files, the in-process queue, local execution. */
export const openData = async (options: OpenDataOptions): Promise<OpenData> => {
  const { dataDirectory, work = true, concurrency = 64, clock, random } = options;
  const { targets: configs, pools, runnerUrl, installation: named, local: here } = readTargets(dataDirectory);
  const names = ['local', ...[...configs, ...pools].map(({ name }) => name)];
  const metrics = options.counts ? await loadMetrics({ clock, targets: names }) : noMetrics;
  const log = countedLog(options.log, metrics);
  const tracing = openTracing(process.env, { clock, random, log, mayFreeze: false });
  const workers = openWorkerLocks(dataDirectory);
  const dead = workers.dead();
  const opened = openStore(dataDirectory, { random, log, wasKilled: dead.length > 0 });
  const store = options.counts ? meteredStore(opened, metrics) : opened;
  const worker = `worker-${clock.now()}-${random.hex(4)}`;
  const lock = workers.take(worker);
  workers.remove(dead);
  const closing = new AbortController();
  const ownerKey = ownerKeyOf(dataDirectory, random);
  const tokens = await openIssuers(dataDirectory, { clock, log });
  const secrets = join(dataDirectory, 'secrets');
  const vaultKey = vaultKeyOf(dataDirectory, { secrets, random });
  const signer = signerOf(dataDirectory, random);
  const principals = makePrincipals(store);
  const commands = inProcessQueue({ clock });
  // Apart: a workflow must not wait for the end of the commands that it is to cancel.
  const workflows = inProcessQueue({ clock });
  const queue: Queue = {
    send: (wakeUp, how) => (isWorkflowReference(wakeUp.id) ? workflows : commands).send(wakeUp, how),
  };
  const provider = await providers.local({
    workDirectory: join(dataDirectory, 'work'),
    isOwnerAlive: async (name) => workers.isAlive(name),
    ...(here?.sandbox ? { sandbox: here.sandbox } : {}),
    trySandbox: options.trySandbox ?? true,
    log,
  });
  const local: Target = {
    name: 'local',
    provider: provider.name,
    features: provider.features,
    pricePerHour: PRICES_PER_HOUR['local'],
    load: async () => provider,
    health: () => provider.health(),
  };
  const installation = named ?? (configs.length > 0 ? installationOf(dataDirectory, random) : '');
  const elsewhere = configs.map((config) =>
    configureTarget(config, loadProvider, () => ({
      clock,
      random,
      log,
      installation,
      runnerUrl: runnerUrl ?? options.runnerUrl(),
      storeId: storeIdOf(dataDirectory),
      isWorkerAlive: async (name) => workers.isAlive(name),
      ...dockerSocket(process.env['DOCKER_HOST']),
    })),
  );
  const writer = { name: worker, isAlive: workers.isAlive };
  const deps = makeDeps({
    clock,
    random,
    access: makeAccess({
      principals,
      clock,
      readOwnerKey: async () => ownerKey,
      tokens: tokens && (async () => tokens),
    }),
    store,
    objects: filesObjects({
      directory: join(dataDirectory, 'objects'),
      writer,
    }),
    vault: sealedFiles({ directory: secrets, key: vaultKey, random, writer }),
    queue,
    changes: inProcessChanges(clock),
    egress: makeEgress({
      clock,
      resolve: systemResolve,
      timeoutSeconds: WEBHOOK_SECONDS,
      ...(options.loopbackWebhooks ? { bent: { isAllowed: isLoopbackAddress, http: true } } : {}),
    }),
    targets: [local, ...elsewhere],
    pools,
    worker,
    lookEverySeconds: 1,
    signer,
    // All that this user can write, this user can change: errand audit checkpoint is for elsewhere.
    keepCheckpoint: async () => {},
    // One store, of one machine: what is stored is seen.
    auditSettleSeconds: 0,
    sealsOnRead: true,
    removalSettleSeconds: 30,
    closing: closing.signal,
    ...{ log, tracing, metrics },
  });
  if (work) {
    await deps.fleet.beganAnew(local.name);
    const take = async (wakeUp: WakeUp): Promise<void> => {
      const againAt = await advance(deps, wakeUp);
      if (againAt === undefined) return;
      // Where no server runs, nobody sweeps.
      await queue.send(wakeUp, { priority: 'high', delaySeconds: (againAt - clock.now()) / 1_000 });
    };
    commands.consume(take, { concurrency });
    workflows.consume(take, { concurrency: WORKFLOWS_AT_ONCE });
  }
  return {
    deps,
    ownerKey,
    expectsRunners: runnerUrl === undefined && elsewhere.some(({ features }) => features.runner === 'remote'),
    async close() {
      closing.abort();
      const sessions = deps.heldSessions.all();
      // Their shells end with their provider, and not by themselves.
      for (const held of sessions) held.ending = true;
      const drained = Promise.all([commands.close(), workflows.close()]);
      await Promise.all([provider, ...elsewhere].map((one) => one.close()));
      await drained;
      await endAllSessions(deps);
      await tracing.close();
      // First, as a lock that is left says that the store was not closed.
      lock.release();
      await store.close();
    },
  };
};

/** Only servers keep figures, so that only they load what keeps them. */
const loadMetrics = async (options: PrometheusOptions) =>
  (await import('../shared/telemetry/prometheus.ts')).prometheusMetrics(options);

/** Another folder's, or another machine's with a folder of that name, is another store. */
const storeIdOf = (dataDirectory: string): string =>
  createHash('sha256')
    .update(`${hostname()}\0${realpathSync(dataDirectory)}`)
    .digest('hex')
    .slice(0, 16);

/** As Docker's own client has it, as far as it names a socket of this machine. */
const dockerSocket = (dockerHost: string | undefined): { readonly dockerSocketPath?: string } => {
  const [, dockerSocketPath] = /^unix:\/\/(\/.+)$/.exec(dockerHost ?? '') ?? [];
  return dockerSocketPath === undefined ? {} : { dockerSocketPath };
};
