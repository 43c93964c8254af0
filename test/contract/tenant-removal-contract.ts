import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeAccess } from '../../shared/access/access.ts';
import { advanceCommand } from '../../shared/app/advance-command.ts';
import { createApiKey } from '../../shared/app/api-keys.ts';
import { verifyAudit } from '../../shared/app/audit.ts';
import { addMember } from '../../shared/app/members.ts';
import { applyPolicy } from '../../shared/app/policies.ts';
import { receiveDelivery } from '../../shared/app/receive-delivery.ts';
import { removeTenants } from '../../shared/app/remove-tenants.ts';
import { putRole } from '../../shared/app/roles.ts';
import { createSchedule } from '../../shared/app/schedules.ts';
import { sealTenant } from '../../shared/app/seal-audit.ts';
import { putSecret } from '../../shared/app/secrets.ts';
import { endOwnRun, redeemStart } from '../../shared/app/serve-runner.ts';
import { createSessionToken } from '../../shared/app/session-tokens.ts';
import { submitCommand } from '../../shared/app/submit-command.ts';
import { sweep } from '../../shared/app/sweep.ts';
import { addTenant, changeTenant, getTenant, listTenants, removeTenant } from '../../shared/app/tenants.ts';
import { createTrigger } from '../../shared/app/triggers.ts';
import { createWebhook } from '../../shared/app/webhooks.ts';
import { submitWorkflow } from '../../shared/app/workflows.ts';
import { type Actor, ownerOf } from '../../shared/domain/actor.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import { parseRunnerToken, type RunnerRight } from '../../shared/domain/runner-token.ts';
import { referenceOf } from '../../shared/store/schema.ts';
import type { Store } from '../../shared/store/store.ts';
import { owner, type TestWorker, testWorker } from '../support/deps.ts';
import { type FakeClock, fakeClock } from '../support/fake-clock.ts';
import { scriptedProvider } from '../support/scripted-provider.ts';
import { tempDirectory } from '../support/temp-directory.ts';

/** A store, and all that is in it, read past it. */
export interface ScannedStore {
  readonly store: Store;
  scan(): Promise<readonly { readonly pk: string; readonly sk: string; readonly text: string }[]>;
}

const acme = toTenantId('acme');
const SETTLED_MS = 31_000;
const SECONDS = 60;

/** A provider whose runs go on until they are canceled, and are gone then. */
const obedientProvider = () => {
  const provider = scriptedProvider();
  provider.script.observe = async ({ key }) =>
    provider.canceled.some((one) => one.key === key) ? { kind: 'gone' } : { kind: 'alive' };
  return provider;
};

type Provider = ReturnType<typeof obedientProvider>;

interface Installation {
  readonly deps: TestWorker;
  readonly provider: Provider;
  readonly clock: FakeClock;
  readonly directory: string;
  /** Another process on the same data, whose store may be another's. */
  worker(store?: Store): Promise<TestWorker>;
}

const openInstallation = async (store: Store): Promise<Installation> => {
  const [clock, directory, provider] = [fakeClock(), tempDirectory(), obedientProvider()];
  const worker = (own = store) => testWorker({ store: own, clock, directory, provider, work: false });
  return { deps: await worker(), provider, clock, directory, worker };
};

const authenticate = (deps: TestWorker, key: string): Promise<Actor> =>
  makeAccess({ principals: deps.principals, clock: deps.clock, readOwnerKey: async () => 'x'.repeat(40) }).authenticate(
    key,
  );

const byRunner = async ({ provider, deps }: Installation): Promise<RunnerRight> => {
  const right = parseRunnerToken(provider.starts.at(-1)?.token ?? '') as RunnerRight;
  await redeemStart(deps, right, { runner: 'a'.repeat(32) });
  return right;
};

/** A tenant with some of all that a tenant can have: one command that ended, one that runs, one that waits. */
const fill = async (installation: Installation, id: string) => {
  const { deps } = installation;
  const limits = { commandsPerDay: 100 };
  const { key } = await addTenant(deps, owner, { id, name: `The tenant ${id}`, limits });
  const admin = await authenticate(deps, key);
  await putRole(deps, admin, 'reader', { permissions: ['commands:read'] });
  const identity = { issuer: 'https://login.example.com/', subject: 'someone' };
  const member = await addMember(deps, admin, { name: 'A person', role: 'reader', identity });
  await createApiKey(deps, admin, { name: 'a key', member: member.id });
  const session = await createSessionToken(deps, admin, {});
  await putSecret(deps, admin, 'token', { value: 'a secret value' });
  await createSchedule(deps, admin, { everySeconds: 31_000_000, command: { argv: ['a scheduled command'] } });
  const trigger = await createTrigger(deps, admin, {
    signature: { kind: 'github' },
    command: { argv: ['a triggered command', '{{ body.x }}'] },
  });
  await expect(receiveDelivery(deps, trigger.id, { headers: {}, body: Buffer.from('{}') })).rejects.toThrow();
  const { id: webhookId } = await createWebhook(deps, admin, { url: 'https://hooks.example.com/', events: ['*'] });
  const attempt = { at: 0, durationMs: 1, statusCode: 200 };
  const delivered = { sequence: 1, subject: 's', tries: 1, outcome: 'delivered', last: attempt } as const;
  await deps.webhooks.change({ tenant: admin.tenant, id: webhookId }, (webhook) => ({
    webhook,
    ended: [{ ...delivered, type: 'command.submitted' }],
  }));
  const nodes = { only: { command: { argv: ['a command of a workflow'] } } };
  await submitWorkflow(deps, admin, { body: { nodes }, idempotencyKey: 'the key of a workflow' });
  const rules = [{ name: 'ask', effect: 'approval' as const, programs: ['ask'] }];
  await applyPolicy(deps, admin, { policy: { default: 'allow', rules } });
  await expect(submitCommand(deps, admin, { body: { argv: ['ask'] } })).rejects.toMatchObject({
    code: 'approval-required',
  });
  const submit = async (argv: [string, ...string[]], more: object = {}, idempotencyKey?: string) => {
    const { command } = await submitCommand(deps, admin, { body: { argv, ...more }, idempotencyKey });
    return referenceOf(command.tenant, command.id);
  };
  const ended = await submit(['ended'], {}, 'the key of a repetition');
  await advanceCommand(deps, ended);
  const right = await byRunner(installation);
  const bytes = Buffer.alloc(100_000, 'o');
  await deps.output.append(ended, 1, {
    stdoutOffset: 0,
    stderrOffset: 0,
    segments: [{ stream: 'stdout', length: bytes.length }],
    bytes,
  });
  await deps.output.append(ended, 1, {
    stdoutOffset: bytes.length,
    stderrOffset: 0,
    segments: [{ stream: 'stderr', length: 3 }],
    bytes: Buffer.from('end'),
  });
  const output = { stdoutBytes: bytes.length, stderrBytes: 3, droppedBytes: 0 };
  await endOwnRun(deps, right, { kind: 'ended', exit: { exitCode: 0, signal: null }, output }, new Uint8Array());
  installation.provider.canceled.push({ key: `${right.id}-1`, tenant: right.tenant, worker: '' });
  await installation.clock.advance(30_000);
  await sweep(deps);
  const running = await submit(['running'], { stdin: 'open' });
  await deps.stdin.append(running, Buffer.alloc(100_000, 'i'), undefined);
  await deps.stdin.append(running, Buffer.from('more'), undefined);
  await advanceCommand(deps, running);
  await byRunner(installation);
  const waiting = await submit(['waiting']);
  await sealTenant(deps, admin.tenant, { checkpoint: true });
  await submit(['not in the log yet']);
  return { credentials: [key, session.accessToken], admin, ended, running, waiting };
};

/** All that is left of a tenant in the store, as `<partition> <kind of item>`. */
const leftOf = async ({ scan }: ScannedStore, id: string): Promise<readonly string[]> => {
  const kinds = (await scan())
    .filter(({ pk, text }) => pk.startsWith(`${id}/`) || (pk.startsWith('/') && text.includes(`"${id}"`)))
    .map(
      ({ pk, sk }) =>
        `${pk.replace(/idempotency\/.*/, 'idempotency')} ${pk.startsWith('/') ? sk : sk.replace(/\/.*/, '')}`,
    );
  return [...new Set(kinds)].toSorted();
};
const NOTHING_BUT_THE_LOG = ['/tenants acme', 'acme/audit checkpoint', 'acme/audit head', 'acme/audit segment'];
/** A partition by a hash, which nothing leads to. */
const EXPIRES = ['acme/idempotency record'];

const filesBelow = (directory: string, id: string): readonly string[] =>
  ['objects', 'secrets'].flatMap((kind) => {
    const path = join(directory, kind, id);
    return existsSync(path) ? readdirSync(path, { recursive: true }).map(String) : [];
  });

const isRemoved = async (deps: TestWorker): Promise<boolean> => (await getTenant(deps, 'acme')).state === 'removed';

const untilRemoved = async ({ clock }: Pick<Installation, 'clock'>, deps: TestWorker): Promise<void> => {
  for (let passes = 0; !(await isRemoved(deps)); passes++) {
    if (passes > 20) throw new Error('It does not come to an end');
    await clock.advance(SETTLED_MS);
    await sweep(deps);
    await removeTenants(deps, { seconds: SECONDS });
  }
};

const removalEvents = async (deps: TestWorker): Promise<readonly string[]> => {
  await deps.clock.advance(1);
  await sealTenant(deps, owner.tenant);
  const types: string[] = [];
  for await (const { entry } of deps.auditLog.read(owner.tenant, 1)) {
    if (entry.type.startsWith('tenant.remov')) types.push(`${entry.type} ${entry.subject} by ${entry.actor.id}`);
  }
  return types;
};
const ONCE = ['tenant.removal-requested acme by owner', 'tenant.removed acme by owner'];

/** What holds of the removal of a tenant on every store. It is cut off after some writes: from which one on, and each how manieth. */
export const tenantRemovalContract = (
  name: string,
  open: () => Promise<ScannedStore>,
  dies: readonly (readonly [first: number, every: number])[],
): void => {
  describe(`the removal of a tenant, on ${name}`, () => {
    test('shuts it for the next request, starts nothing, ends what runs, and erases all but its log', async () => {
      const scanned = await open();
      const installation = await openInstallation(scanned.store);
      const { deps, provider, clock, directory } = installation;
      const { credentials, admin, running, waiting } = await fill(installation, 'acme');
      const starts = provider.starts.length;
      for (const one of credentials) expect(await authenticate(deps, one)).toMatchObject({ tenant: acme });
      expect(await removeTenant(deps, owner, 'acme')).toMatchObject({
        state: 'removing',
        removal: { removedAt: null },
      });
      for (const one of credentials) {
        await expect(authenticate(deps, one)).rejects.toMatchObject({ code: 'unauthenticated' });
      }
      await advanceCommand(deps, waiting);
      expect((await deps.commands.find(waiting))?.command.status).toBe('canceled');
      expect(provider.starts).toHaveLength(starts);
      // Whoever was let in before is stored, and comes to nothing.
      const { command: late } = await submitCommand(deps, admin, { body: { argv: ['late'] } });

      await removeTenants(deps, { seconds: SECONDS });
      await sweep(deps);
      // A provider is not believed at once that a run is gone.
      await clock.advance(SETTLED_MS);
      await sweep(deps);
      expect(provider.canceled.map((run) => run.key)).toContain(`${running.slice('acme/'.length)}-1`);
      expect((await deps.commands.find(running))?.command.status).toBe('canceled');
      expect((await deps.commands.find(referenceOf(acme, late.id)))?.command.status).toBe('canceled');
      expect(await isRemoved(deps)).toBe(false);

      await untilRemoved(installation, deps);
      expect(provider.starts).toHaveLength(starts);
      expect(await leftOf(scanned, 'acme')).toEqual([...NOTHING_BUT_THE_LOG, ...EXPIRES].toSorted());
      expect(filesBelow(directory, 'acme')).toEqual([]);
      await clock.advance(25 * 3_600_000);
      await deps.store.removeExpired(clock.now());
      const expired = await scanned.store.query(`acme/idempotency/${'0'.repeat(64)}`, { limit: 1 });
      expect(expired).toEqual([]);
    });

    test('keeps the log, whole and to the last end, and the owner’s log says where it ends', async () => {
      const installation = await openInstallation((await open()).store);
      const { deps } = installation;
      const { ended, running, waiting } = await fill(installation, 'acme');
      await removeTenant(deps, owner, 'acme');
      await untilRemoved(installation, deps);
      const verdict = await verifyAudit(deps, ownerOf(acme));
      expect(verdict).toMatchObject({ intact: true, fault: null });
      const told: string[] = [];
      for await (const { entry } of deps.auditLog.read(acme, 1)) told.push(`${entry.type} ${entry.subject}`);
      for (const reference of [ended, running, waiting]) {
        const id = reference.slice('acme/'.length);
        expect(told.filter((one) => one === `command.submitted ${id}`)).toHaveLength(1);
        expect(told.filter((one) => one === `command.ended ${id}`)).toHaveLength(1);
      }
      expect(await removalEvents(deps)).toEqual(ONCE);
      const events: unknown[] = [];
      for await (const { entry } of deps.auditLog.read(owner.tenant, 1)) events.push(entry);
      expect(events.at(-1)).toMatchObject({ type: 'tenant.removed', details: { entries: verdict.entries } });
    });

    test('leaves a tombstone: the id is never used again, and twice is the same as once', async () => {
      const installation = await openInstallation((await open()).store);
      const { deps } = installation;
      await addTenant(deps, owner, { id: 'acme', name: 'Acme' });
      const asked = await removeTenant(deps, owner, 'acme');
      await installation.clock.advance(1_000);
      expect((await removeTenant(deps, owner, 'acme')).removal).toEqual(asked.removal);
      await expect(changeTenant(deps, owner, 'acme', { suspended: false })).rejects.toMatchObject({ code: 'conflict' });
      await untilRemoved(installation, deps);
      expect(await removeTenant(deps, owner, 'acme')).toMatchObject({ state: 'removed', name: '' });
      expect((await listTenants(deps, owner, {})).items).toEqual([]);
      await expect(addTenant(deps, owner, { id: 'acme', name: 'Again' })).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining('never used again'),
      });
      await expect(removeTenant(deps, owner, 'nobody')).rejects.toMatchObject({ code: 'not-found' });
      await expect(removeTenant(deps, owner, 'default')).rejects.toMatchObject({ code: 'conflict' });
      expect(await removalEvents(deps)).toEqual(ONCE);
    });

    test('touches nothing of others, byte for byte', async () => {
      const scanned = await open();
      const installation = await openInstallation(scanned.store);
      const { deps, directory } = installation;
      const others = ['acme-2', 'ac', 'zebra'];
      for (const id of others) await fill(installation, id);
      const { running } = await fill(installation, 'acme');
      const snapshot = async () => ({
        items: (await scanned.scan()).filter(({ pk }) => others.some((id) => pk.startsWith(`${id}/`))),
        files: others.flatMap((id) =>
          ['objects', 'secrets'].flatMap((kind) =>
            readdirSync(join(directory, kind, id), { recursive: true, withFileTypes: true })
              .filter((entry) => entry.isFile())
              .map(({ parentPath, name: file }) => [file, readFileSync(join(parentPath, file)).toString('base64')]),
          ),
        ),
      });
      const before = await snapshot();
      expect(before.files.length).toBeGreaterThan(others.length * 2);
      await removeTenant(deps, owner, 'acme');
      for (let passes = 0; passes < 10 && !(await isRemoved(deps)); passes++) {
        await installation.clock.advance(SETTLED_MS);
        await removeTenants(deps, { seconds: SECONDS });
        // As a sweep does, which would see to the others too.
        await advanceCommand(deps, running);
      }
      expect(await isRemoved(deps)).toBe(true);
      expect(await snapshot()).toEqual(before);
    });

    test('by several at once is done once', async () => {
      const scanned = await open();
      const installation = await openInstallation(scanned.store);
      const { deps, clock } = installation;
      await fill(installation, 'acme');
      const workers = [deps, await installation.worker(), await installation.worker()];
      await Promise.all(workers.map((one) => removeTenant(one, owner, 'acme')));
      const isUnderWay = async () => (await leftOf(scanned, 'acme')).includes('/removals acme');
      // A pass ends after a while, however slow the store is; a few more find nothing to do.
      for (let passes = 0; passes < 5 || (passes < 50 && (await isUnderWay())); passes++) {
        await Promise.all(workers.flatMap((one) => [removeTenants(one, { seconds: SECONDS }), sweep(one)]));
        await clock.advance(SETTLED_MS);
      }
      expect(await leftOf(scanned, 'acme')).toEqual([...NOTHING_BUT_THE_LOG, ...EXPIRES].toSorted());
      expect(await removalEvents(deps)).toEqual(ONCE);
    });

    test.for(dies)('cut off after write %i of every %i, is finished by whoever comes next', async ([first, every]) => {
      let writes = Number.POSITIVE_INFINITY;
      for (let last = first; last <= writes; last += every) {
        const scanned = await open();
        const installation = await openInstallation(scanned.store);
        const { deps, clock } = installation;
        await fill(installation, 'acme');
        let done = 0;
        const mortal: Store = {
          ...scanned.store,
          async write(given) {
            if (done >= last) throw new Error('dead');
            const written = await scanned.store.write(given);
            if (++done >= last) throw new Error('dead');
            return written;
          },
        };
        const dying = await installation.worker(mortal);
        await removeTenant(dying, owner, 'acme').catch(() => {});
        for (let passes = 0; passes < 4; passes++) {
          await clock.advance(SETTLED_MS);
          await removeTenants(dying, { seconds: SECONDS }).catch(() => {});
          await sweep(dying).catch(() => {});
        }
        if (done < last) writes = done;
        await removeTenant(deps, owner, 'acme');
        await untilRemoved(installation, deps);
        expect(await leftOf(scanned, 'acme'), `after write ${last}`).toEqual(
          [...NOTHING_BUT_THE_LOG, ...EXPIRES].toSorted(),
        );
        expect(filesBelow(installation.directory, 'acme')).toEqual([]);
        expect(await removalEvents(deps), `after write ${last}`).toEqual(ONCE);
        expect(await verifyAudit(deps, ownerOf(acme))).toMatchObject({ intact: true });
      }
      expect(writes).toBeGreaterThan(20);
    });
  });
};
