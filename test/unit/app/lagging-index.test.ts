import { describe, expect, test } from 'vitest';
import { advanceCommand } from '../../../shared/app/advance-command.ts';
import { endOwnRun, redeemStart } from '../../../shared/app/serve-runner.ts';
import { submitCommand } from '../../../shared/app/submit-command.ts';
import { sweep } from '../../../shared/app/sweep.ts';
import { isFinal } from '../../../shared/domain/command.ts';
import { parseRunnerToken, type RunnerRight } from '../../../shared/domain/runner-token.ts';
import { referenceOf } from '../../../shared/store/schema.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import type { IndexEntry, Store } from '../../../shared/store/store.ts';
import { owner, testWorker } from '../../support/deps.ts';
import { fakeClock, settle } from '../../support/fake-clock.ts';
import { scriptedProvider } from '../../support/scripted-provider.ts';

/** A store whose indexes show all that was ever in them, as a replica that never catches up. */
const lagging = (store: Store): Store => {
  const seen = new Map<string, IndexEntry>();
  return {
    ...store,
    async queryIndex(index, pk, range) {
      for (const entry of await store.queryIndex(index, pk, range)) {
        seen.set(`${index} ${pk} ${entry.key.pk} ${entry.key.sk}`, entry);
      }
      return [...seen].filter(([name]) => name.startsWith(`${index} ${pk} `)).map(([, entry]) => entry);
    },
  };
};

describe('pitfall 18: an index that lags behind', () => {
  test('names commands that are not due any more, and none of them is started or ended twice', async () => {
    const store = lagging(sqliteStore({ file: ':memory:' }));
    const [clock, fast] = [fakeClock(), fakeClock('2030-01-01T00:02:00Z')];
    const provider = scriptedProvider();
    // Two workers whose clocks are two minutes apart: to one of them every lease of the other has run out.
    const workers = [
      await testWorker({ clock, provider, store, name: 'worker-1', work: false }),
      await testWorker({ clock: fast, provider, store, name: 'worker-2', work: false }),
    ];
    const [deps] = workers;
    if (!deps) throw new Error('unreachable');
    const { command } = await submitCommand(deps, owner, { body: { argv: ['true'] } });
    const reference = referenceOf(command.tenant, command.id);
    const look = async () => {
      for (let i = 0; i < 3; i++) {
        await Promise.all(workers.flatMap((one) => [sweep(one), advanceCommand(one, reference)]));
        await settle();
      }
    };
    await look();
    const right = parseRunnerToken(provider.starts.at(-1)?.token ?? '') as RunnerRight;
    await redeemStart(deps, right, { runner: 'a'.repeat(32) });
    await look();
    const exit = { exitCode: 0, signal: null };
    const output = { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 };
    await endOwnRun(deps, right, { kind: 'ended', exit, output }, new Uint8Array());
    const ended = (await deps.commands.find(reference))?.command;
    await look();
    const after = (await deps.commands.find(reference))?.command;
    expect(ended && isFinal(ended.status)).toBe(true);
    expect(after?.result).toEqual(ended?.result);
    expect(after?.attempts.filter(({ startedAt }) => startedAt !== undefined)).toHaveLength(1);
    expect(provider.starts).toHaveLength(1);
    expect(provider.observed.length).toBeGreaterThan(0);
  });
});
