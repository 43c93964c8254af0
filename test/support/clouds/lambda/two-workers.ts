import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import { LOOPBACK, openDoor } from '../../../../local/door.ts';
import { makeGateway } from '../../../../local/gateway.ts';
import { type HttpServer, listen } from '../../../../local/http-server.ts';
import { systemClock, systemRandom } from '../../../../machine/system-clock.ts';
import { advance } from '../../../../shared/app/advance.ts';
import type { Deps } from '../../../../shared/app/deps.ts';
import { makeDeps } from '../../../../shared/app/make-deps.ts';
import { submitCommand } from '../../../../shared/app/submit-command.ts';
import { sweep } from '../../../../shared/app/sweep.ts';
import { waitForCommand } from '../../../../shared/app/wait-for-command.ts';
import type { SubmitCommand } from '../../../../shared/contract/schemas.ts';
import type { Command } from '../../../../shared/domain/command.ts';
import { DEFAULT_RULES } from '../../../../shared/engine/rules.ts';
import { inProcessChanges } from '../../../../shared/events/changes.ts';
import { filesObjects } from '../../../../shared/objects/files.ts';
import { LambdaConfig, lambdaFeatures } from '../../../../shared/providers/lambda/config.ts';
import { lambda } from '../../../../shared/providers/lambda/lambda.ts';
import { inProcessQueue } from '../../../../shared/queue/in-process.ts';
import { referenceOf } from '../../../../shared/store/schema.ts';
import { sqliteStore } from '../../../../shared/store/sqlite/sqlite.ts';
import type { Store } from '../../../../shared/store/store.ts';
import { silentLog } from '../../../../shared/telemetry/log.ts';
import { testAudit } from '../../audit.ts';
import { owner, ownerAccess } from '../../deps.ts';
import { freezableStore } from '../../freezable-store.ts';
import { tempDirectory } from '../../temp-directory.ts';
import { testVault } from '../../vault.ts';
import type { FunctionSpec } from './environment.ts';
import { executorFunction } from './executor-function.ts';
import { REGION, startLambdaCloud } from './lambda-cloud.ts';

/** Real time passes here, so leases are short. */
export const RULES = { ...DEFAULT_RULES, leaseSeconds: 4, unheardSeconds: 8, startSeconds: 8, stopSeconds: 2 };
/** The executor, with little patience. */
export const HASTY: Partial<FunctionSpec> = {
  root: fileURLToPath(new URL('./functions-under-test', import.meta.url)),
  handler: 'hasty-executor.handler',
};

/**
 * Everything real: the store, the handlers behind a port, and Lambda with the executor. One worker takes what is submitted,
 * and can be frozen or killed; another one sweeps all the time.
 */
export const openTwoWorkers = async (executor: Partial<FunctionSpec> = HASTY) => {
  const directory = tempDirectory();
  const closing = new AbortController();
  const store = sqliteStore({ file: join(directory, 'errand.db') });
  const objects = filesObjects({ directory: join(directory, 'objects') });
  const cloud = await startLambdaCloud({
    folder: tempDirectory(),
    functions: { executor: executorFunction(executor) },
  });
  const config = LambdaConfig.parse({ functionName: 'executor', region: REGION, endpoint: cloud.endpoint });
  const context = { clock: systemClock, random: systemRandom, log: silentLog, installation: 'errand-test' };
  let url = '';
  const openWorker = (worker: string, ownStore: Store) => {
    const queue = inProcessQueue({ clock: systemClock });
    let provider: ReturnType<typeof lambda> | undefined;
    const load = () => (provider ??= lambda(config, { ...context, runnerUrl: url }));
    const deps: Deps = {
      ...makeDeps({
        ...testAudit,
        clock: systemClock,
        random: systemRandom,
        access: ownerAccess,
        store: ownStore,
        objects,
        vault: testVault(directory),
        queue,
        changes: inProcessChanges(systemClock),
        targets: [
          {
            name: 'lambda',
            provider: 'lambda',
            features: lambdaFeatures(config),
            load,
            health: async () => ({ healthy: true }),
          },
        ],
        worker,
        lookEverySeconds: 0.5,
        closing: closing.signal,
        log: silentLog,
      }),
      rules: RULES,
    };
    queue.consume(async (wakeUp) => void (await advance(deps, wakeUp)), { concurrency: 8 });
    return { deps, queue, load };
  };
  const freezer = freezableStore(store);
  const first = openWorker('worker-1', freezer.store);
  const second = openWorker('worker-2', store);
  const gateway = makeGateway(second.deps);
  let server: HttpServer | undefined = await listen(gateway, {
    ...LOOPBACK,
    port: 0,
    door: openDoor(LOOPBACK),
    log: silentLog,
  });
  ({ url } = server);
  const sweeping = (async () => {
    for (; !closing.signal.aborted; await systemClock.sleep(100, closing.signal)) await sweep(second.deps);
  })();
  onTestFinished(async () => {
    closing.abort();
    freezer.thaw();
    await sweeping;
    for (const { load } of [first, second]) await (await load()).close();
    await Promise.all([first.queue.close(), second.queue.close()]);
    await cloud.close();
    await server?.close();
    await store.close();
  });
  const outputOf = async ({ id, tenant }: Command) => {
    const pieces = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
    for await (const { segments, bytes } of second.deps.output.read(referenceOf(tenant, id), 1, 0)) {
      let at = 0;
      for (const { stream, length } of segments) {
        pieces[stream].push(bytes.subarray(at, at + length));
        at += length;
      }
      expect(at).toBe(bytes.length);
    }
    return { stdout: Buffer.concat(pieces.stdout), stderr: Buffer.concat(pieces.stderr) };
  };
  return {
    cloud,
    /** Of the worker that lives. */
    deps: second.deps,
    submit: async (body: SubmitCommand) => (await submitCommand(first.deps, owner, { body })).command,
    end: (command: Command) => waitForCommand(second.deps, command, 60),
    outputOf,
    untilOutput: async (command: Command, text: string): Promise<void> => {
      while (!(await outputOf(command)).stdout.includes(text)) await systemClock.sleep(20);
    },
    freeze: freezer.freeze,
    thaw: freezer.thaw,
    /** It does nothing any more, and its connections are gone. */
    async kill() {
      freezer.freeze();
      await (await first.load()).close();
    },
    stopServing: async () => {
      await server?.close();
      server = undefined;
    },
    serveAgain: async () => {
      server = await listen(gateway, {
        ...LOOPBACK,
        port: Number(new URL(url).port),
        door: openDoor(LOOPBACK),
        log: silentLog,
      });
    },
    /** Whether the run went the way of a run: started once, and nothing of it goes on. */
    async wasOneRun() {
      await cloud.quiet();
      expect(cloud.invocations.get('executor')).toBe(1);
    },
  };
};
