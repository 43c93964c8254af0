import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { systemRandom } from '../../machine/system-clock.ts';
import type { Access } from '../../shared/access/access.ts';
import { advance } from '../../shared/app/advance.ts';
import type { Deps, Target } from '../../shared/app/deps.ts';
import { makeDeps } from '../../shared/app/make-deps.ts';
import { type Actor, ownerOf } from '../../shared/domain/actor.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import { type Egress, makeEgress } from '../../shared/egress/egress.ts';
import { inProcessChanges } from '../../shared/events/changes.ts';
import { filesObjects } from '../../shared/objects/files.ts';
import type { Provider } from '../../shared/providers/provider.ts';
import { providers } from '../../shared/providers/registry.ts';
import { inProcessQueue } from '../../shared/queue/in-process.ts';
import type { Queue } from '../../shared/queue/queue.ts';
import type { Vault } from '../../shared/secrets/vault.ts';
import { sqliteStore } from '../../shared/store/sqlite/sqlite.ts';
import type { Store } from '../../shared/store/store.ts';
import { type Log, silentLog } from '../../shared/telemetry/log.ts';
import { testAudit } from './audit.ts';
import { type FakeClock, fakeClock } from './fake-clock.ts';
import { tempDirectory } from './temp-directory.ts';
import { testVault } from './vault.ts';

export const owner: Actor = ownerOf(toTenantId('default'));
/** Whoever calls is the owner. */
export const ownerAccess: Access = {
  authenticate: async () => owner,
  actorOf: async () => owner,
  takesTokens: false,
  issuers: async () => [],
};

export interface TestWorker extends Deps {
  readonly clock: FakeClock;
}

interface WorkerOptions {
  readonly clock?: FakeClock;
  /** Shared by workers of one installation. */
  readonly store?: Store;
  readonly directory?: string;
  readonly name?: string;
  /** Whether wake-ups are acted on. @default true */
  readonly work?: boolean;
  /** Loses wake-ups, as a queue may. @default none */
  readonly loses?: () => boolean;
  readonly log?: Log;
  /** @default files below `directory` */
  readonly vault?: Vault;
  readonly isOwnerAlive?: (worker: string) => boolean;
  /** @default whoever calls is the owner */
  readonly access?: Access;
  /** Where commands run. @default on this machine */
  readonly provider?: Provider;
  /** More targets, by name. */
  readonly others?: Readonly<Record<string, Provider>>;
  readonly pools?: Deps['pools'];
  /** @default one that finds no host */
  readonly egress?: Egress;
}

/** A worker on the real adapters and a clock that stands still. */
export const testWorker = async (options: WorkerOptions = {}): Promise<TestWorker> => {
  const {
    clock = fakeClock(),
    store = sqliteStore({ file: ':memory:' }),
    directory = tempDirectory(),
    name = 'worker-1',
  } = options;
  const provider =
    options.provider ??
    (await providers.local({
      workDirectory: join(directory, 'work'),
      isOwnerAlive: async (worker) => options.isOwnerAlive?.(worker) ?? true,
      helpers: 1,
      graceSeconds: 0.3,
    }));
  const closing = new AbortController();
  const inProcess = inProcessQueue({ clock });
  const queue: Queue = {
    send: async (wakeUp, how) => (options.loses?.() ? undefined : inProcess.send(wakeUp, how)),
  };
  const { others = {}, pools = [] } = options;
  const targetOf = (name: string, one: Provider): Target => ({
    name,
    provider: one.name,
    features: one.features,
    load: async () => one,
    health: () => one.health(),
  });
  const more = Object.entries(others).map(([name, one]) => targetOf(name, one));
  const deps = makeDeps({
    ...testAudit,
    clock,
    access: options.access ?? ownerAccess,
    random: { ...systemRandom, fraction: () => 0.5 },
    store,
    objects: filesObjects({ directory: join(directory, 'objects') }),
    vault: options.vault ?? testVault(directory),
    queue,
    changes: inProcessChanges(clock),
    targets: [targetOf('local', provider), ...more],
    pools,
    worker: name,
    lookEverySeconds: 1,
    closing: closing.signal,
    egress: options.egress ?? makeEgress({ clock, resolve: async () => [] }),
    log: options.log ?? silentLog,
  });
  if (options.work ?? true) inProcess.consume(async (wakeUp) => void (await advance(deps, wakeUp)), { concurrency: 8 });
  onTestFinished(async () => {
    closing.abort();
    const drained = inProcess.close();
    await Promise.all([provider, ...Object.values(others)].map((one) => one.close()));
    await drained;
  });
  return { ...deps, clock };
};
