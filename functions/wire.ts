import { systemResolve } from '../machine/resolver.ts';
import { systemClock, systemRandom } from '../machine/system-clock.ts';
import { makeAccess } from '../shared/access/access.ts';
import type { Deps } from '../shared/app/deps.ts';
import { makeDeps } from '../shared/app/make-deps.ts';
import { makeSigner } from '../shared/audit/signing.ts';
import { makeEgress } from '../shared/egress/egress.ts';
import { inProcessChanges } from '../shared/events/changes.ts';
import { EVENT_BRIDGE, lazySubscription } from '../shared/events/subscription.ts';
import { lazyObjects } from '../shared/objects/objects.ts';
import type { ProviderLoader } from '../shared/providers/registry.ts';
import { configureTarget, parseTargets } from '../shared/providers/targets.ts';
import { lazyQueue } from '../shared/queue/queue.ts';
import { lazyVault } from '../shared/secrets/vault.ts';
import { dynamodbClient } from '../shared/store/dynamodb/client.ts';
import { dynamodbStore } from '../shared/store/dynamodb/dynamodb.ts';
import { makePrincipals } from '../shared/store/principals.ts';
import { lastCheck, makeTargetHealth } from '../shared/store/target-health.ts';
import { emfMetrics } from '../shared/telemetry/emf.ts';
import { jsonLog, parseLogLevel } from '../shared/telemetry/log.ts';
import { noMetrics } from '../shared/telemetry/metrics.ts';
import { openTracing } from '../shared/telemetry/open-tracing.ts';
import { awsIdentity, ENVIRONMENT, setting } from './environment.ts';

/** What Standard Webhooks gives a receiver, at the least: a caller that tries one out waits for it. */
const WEBHOOK_SECONDS = 15;

interface WireOptions {
  /** Loads providers, in functions that run commands. @default none can be used */
  readonly load?: ProviderLoader;
  /** Whether the last use of a caller's key is noted; needs the right to write. @default false */
  readonly notesUse?: boolean;
  /** How often those who wait look at the store: each look is billed. @default 1 */
  readonly lookEverySeconds?: number;
  /** Whether events are put onto the installation's bus by it. @default false */
  readonly publishes?: boolean;
}

/**
 * The cloud's composition root: the environment to Deps, once for each cold start.
 * What a function may not use is not loaded: `load` brings providers to those that run commands, `withKey` the owner's
 * key to those that callers reach.
 */
export const wire = (options: WireOptions = {}): Deps => {
  const { load = noProvider, notesUse = false, lookEverySeconds = 1, publishes = false } = options;
  const region = setting('AWS_REGION');
  const clock = systemClock;
  const random = systemRandom;
  const level = parseLogLevel(process.env['ERRAND_LOG_LEVEL']);
  const write = (line: string) => process.stdout.write(line);
  const log = jsonLog(clock, write, { level });
  const endpoint = (service: string) => {
    const url = process.env[`AWS_ENDPOINT_URL_${service}`];
    return url === undefined ? {} : { endpoint: url };
  };
  const store = dynamodbStore({
    client: dynamodbClient({ region, ...endpoint('DYNAMODB') }),
    tableName: setting(ENVIRONMENT.table),
    clock,
    random,
  });
  const configured = parseTargets(setting(ENVIRONMENT.targets));
  const { targets: configs, pools, installation = 'errand', runnerUrl = '' } = configured;
  const context = () => ({ clock, random, log, installation, runnerUrl, ...awsIdentity(region) });
  const bucketOf = (name: string) =>
    lazyObjects(async () => {
      const { s3Client, s3Objects } = await import('../shared/objects/s3.ts');
      return s3Objects({ client: s3Client({ region, ...endpoint('S3') }), bucket: setting(name) });
    });
  const health = makeTargetHealth(store);
  const [first, ...others] = configs.map((config) => {
    const target = configureTarget(config, load, context);
    const stored = async () => lastCheck(await health.find(target.name), clock.now());
    return load === noProvider ? { ...target, health: stored } : target;
  });
  if (!first) throw new Error(`${ENVIRONMENT.targets} names no target. Deploy again with at least one.`);
  return makeDeps({
    clock,
    random,
    log,
    tracing: openTracing(process.env, { clock, random, log, mayFreeze: true }),
    metrics: process.env[ENVIRONMENT.metrics] === 'emf' ? emfMetrics(clock, write, { installation }) : noMetrics,
    access: makeAccess({
      principals: makePrincipals(store),
      clock,
      readOwnerKey: () => readSecret(region, endpoint('SECRETS_MANAGER'), ENVIRONMENT.keySecret),
      notesUse,
      tokens: openTokens(process.env[ENVIRONMENT.issuers], { clock, log }),
    }),
    store,
    objects: bucketOf(ENVIRONMENT.bucket),
    vault: lazyVault(async () => {
      const { secretsManager, secretsManagerClient } = await import('../shared/secrets/secrets-manager.ts');
      return secretsManager({ client: secretsManagerClient({ region, ...endpoint('SECRETS_MANAGER') }), installation });
    }),
    queue: lazyQueue(async () => {
      const { sqsClient, sqsQueue } = await import('../shared/queue/sqs.ts');
      const queueUrls = {
        high: setting(ENVIRONMENT.queueHigh),
        normal: setting(ENVIRONMENT.queueNormal),
        low: setting(ENVIRONMENT.queueLow),
      };
      return sqsQueue({ client: sqsClient({ region, ...endpoint('SQS') }), queueUrls });
    }),
    changes: inProcessChanges(clock),
    egress: makeEgress({ clock, resolve: systemResolve, timeoutSeconds: WEBHOOK_SECONDS }),
    subscriptions: publishes
      ? [
          lazySubscription(EVENT_BRIDGE, async () => {
            const { eventBridge, eventBridgeClient } = await import('../shared/events/event-bridge.ts');
            const client = eventBridgeClient({ region, ...endpoint('EVENTBRIDGE') });
            return eventBridge({ client, bus: setting(ENVIRONMENT.eventBus), log });
          }),
        ]
      : [],
    targets: [first, ...others],
    pools,
    worker: `worker-${clock.now()}-${random.hex(4)}`,
    lookEverySeconds,
    signer: once(async () =>
      makeSigner(await readSecret(region, endpoint('SECRETS_MANAGER'), ENVIRONMENT.auditSecret)),
    ),
    keepCheckpoint: async (signed) => {
      const { tenant, size } = signed.checkpoint;
      const name = `${tenant}/${String(size).padStart(12, '0')}.json`;
      await bucketOf(ENVIRONMENT.checkpoints).put(name, Buffer.from(JSON.stringify(signed)));
    },
    // Indexes lag, and an answer takes at most half of it.
    auditSettleSeconds: 60,
    sealsOnRead: false,
    // No function runs longer than 15 minutes.
    removalSettleSeconds: 16 * 60,
    // Lambda freezes a process, it does not close it.
    closing: new AbortController().signal,
  });
};

/** Verifies access tokens of the issuers that the deployment names; loaded when the first one comes. */
const openTokens = (issuers: string | undefined, { clock, log }: Pick<Deps, 'clock' | 'log'>) => {
  if (issuers === undefined) return undefined;
  return once(async () => {
    const { makeAccessTokens, parseIssuers } = await import('../shared/access/access-tokens.ts');
    const egress = makeEgress({ clock, resolve: systemResolve });
    return makeAccessTokens({ issuers: parseIssuers(issuers), egress, clock, log });
  });
};

const once = <T>(make: () => Promise<T>): (() => Promise<T>) => {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    // What failed is tried again.
    made.catch(() => (made = undefined));
    return made;
  };
};

/** For functions that only answer: what they know of providers is in the store. */
const noProvider: ProviderLoader = async (kind) => {
  throw new Error(`This function does not use providers (${kind}).`);
};

const readSecret = async (region: string, endpoint: { readonly endpoint?: string }, name: string): Promise<string> => {
  const { GetSecretValueCommand, SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager');
  const client = new SecretsManagerClient({ region, ...endpoint });
  const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: setting(name) }));
  if (SecretString === undefined || SecretString.length < 32)
    throw new Error(`The secret that ${name} names is not set.`);
  return SecretString;
};
