import { describe, expect, test } from 'vitest';
import { systemRandom } from '../../../machine/system-clock.ts';
import { toTenantId } from '../../../shared/domain/ids.ts';
import { makeCommands } from '../../../shared/store/commands.ts';
import { referenceOf } from '../../../shared/store/schema.ts';
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';
import type { Store, Write } from '../../../shared/store/store.ts';
import { aCommand, commandId, SECOND, T0 } from '../../support/commands.ts';
import { fakeClock } from '../../support/fake-clock.ts';

const open = (over: Partial<Store> = {}) => {
  const clock = fakeClock();
  const real = sqliteStore({ file: ':memory:' });
  const writes: (readonly Write[])[] = [];
  const store: Store = {
    ...real,
    write(parts) {
      writes.push(parts);
      return real.write(parts);
    },
    ...over,
  };
  return { clock, store, real, writes, commands: makeCommands(store, systemRandom, clock) };
};

const reference = referenceOf(toTenantId('default'), commandId());
const idempotency = { keyHash: 'k', bodyHash: 'b', expiresAt: T0 + 86_400 * SECOND };

describe('the place of a command in the index of what is due', () => {
  const indexed = async (store: Store) => (await store.get({ pk: reference, sk: 'command' }))?.due?.sk.slice(0, 15);
  const at = (seconds: number) => String(T0 + seconds * SECOND).padStart(15, '0');

  test('is left alone by an update that is due later, and moved by one that is due earlier', async () => {
    const { commands, store } = open();
    await commands.add(aCommand({ dueAt: T0 + 30 * SECOND }), undefined, T0);
    const first = await commands.find(reference);
    const later = first && (await commands.save(first, { ...first.command, dueAt: T0 + 60 * SECOND }));
    expect(await indexed(store)).toBe(at(30));
    expect((await commands.find(reference))?.command.dueAt).toBe(T0 + 60 * SECOND);
    if (later?.ok) await commands.save(later.stored, { ...later.stored.command, dueAt: T0 + 10 * SECOND });
    expect(await indexed(store)).toBe(at(10));
  });

  test('goes with the end', async () => {
    const { commands, store } = open();
    await commands.add(aCommand({ dueAt: T0 + 30 * SECOND }), undefined, T0);
    const first = await commands.find(reference);
    if (!first) throw new Error('not found');
    const { dueAt: _, ...ended } = first.command;
    await commands.save(first, { ...ended, status: 'succeeded' });
    expect(await indexed(store)).toBeUndefined();
  });

  test('is found too early once, and then at the right time', async () => {
    const { commands, clock } = open();
    await commands.add(aCommand({ dueAt: T0 + 30 * SECOND }), undefined, T0);
    const first = await commands.find(reference);
    if (first) await commands.save(first, { ...first.command, dueAt: T0 + 300 * SECOND });
    await clock.advance(31 * SECOND);
    expect(await commands.due(clock.now(), 10)).toEqual([reference]);
    const found = await commands.find(reference);
    if (found) await commands.reindex(found);
    expect(await commands.due(clock.now(), 10)).toEqual([]);
    await clock.advance(270 * SECOND);
    expect(await commands.due(clock.now(), 10)).toEqual([reference]);
  });

  test('is not written again when it is right', async () => {
    const { commands, writes } = open();
    await commands.add(aCommand({ dueAt: T0 + 30 * SECOND }), undefined, T0);
    const found = await commands.find(reference);
    if (found) await commands.reindex(found);
    expect(writes).toHaveLength(1);
  });
});

describe.for(['free', 'costly'] as const)(
  'a submission with an idempotency key, where atomic writes are %s',
  (cost) => {
    const command = aCommand();
    const other = aCommand({ id: commandId(2) });

    test('is stored once, whoever repeats it', async () => {
      const { commands } = open({ atomicWrites: cost });
      expect(await commands.add(command, idempotency, T0)).toMatchObject({ kind: 'added' });
      expect(await commands.add(other, idempotency, T0)).toMatchObject({
        kind: 'repeated',
        id: command.id,
        sameBody: true,
      });
      expect(await commands.add(other, { ...idempotency, bodyHash: 'c' }, T0)).toMatchObject({ sameBody: false });
      expect(await commands.find(referenceOf(other.tenant, other.id))).toBeUndefined();
    });

    test('of 20 at once one is stored, and all are told of it', async () => {
      const { commands } = open({ atomicWrites: cost });
      const all = Array.from({ length: 20 }, (_, n) => aCommand({ id: commandId(n + 1) }));
      const added = await Promise.all(all.map((one) => commands.add(one, idempotency, T0)));
      const ids = new Set(added.map((one) => (one.kind === 'added' ? one.stored.command.id : one.id)));
      expect(added.filter(({ kind }) => kind === 'added')).toHaveLength(1);
      expect(ids.size).toBe(1);
      const found = await Promise.all(all.map(({ id }) => commands.find(referenceOf(command.tenant, id))));
      expect(found.filter(Boolean)).toHaveLength(1);
    });

    test('is never stored once it was withdrawn, unless it was before', async () => {
      const { commands } = open({ atomicWrites: cost });
      const by = { id: commandId(3), now: T0 };
      expect(await commands.withdraw(command.tenant, idempotency, by)).toBeUndefined();
      expect(await commands.withdraw(command.tenant, idempotency, { ...by, id: commandId(4) })).toBeUndefined();
      const repeated = { kind: 'repeated', id: by.id } as const;
      expect(await commands.add(command, idempotency, T0)).toMatchObject(repeated);
      expect(await commands.find(referenceOf(command.tenant, by.id))).toBeUndefined();
      expect(await commands.findAll(command.tenant, [by.id, command.id])).toEqual([]);
      expect(await commands.list(command.tenant, {}, { limit: 10 })).toEqual({ commands: [] });
      const key = { ...idempotency, keyHash: 'of another' };
      await commands.add(other, key, T0);
      expect(await commands.withdraw(command.tenant, key, by)).toBe(other.id);
      expect(await commands.find(referenceOf(command.tenant, other.id))).toMatchObject({ command: other });
    });

    test('is stored or withdrawn, whoever is faster, and never both', async () => {
      for (let n = 1; n <= 20; n++) {
        const { commands, store } = open({ atomicWrites: cost });
        // The first so many calls of the one come before the first of the other.
        const get: Store['get'] = async (key) => {
          for (let turn = 0; turn < n % 5; turn++) await Promise.resolve();
          return store.get(key);
        };
        const slowly = makeCommands({ ...store, get }, systemRandom, fakeClock());
        const [added, earlier] = await Promise.all([
          (n > 10 ? slowly : commands).add(command, idempotency, T0),
          (n > 10 ? commands : slowly).withdraw(command.tenant, idempotency, { id: commandId(3), now: T0 }),
        ]);
        const stored = await commands.find(reference);
        expect([added.kind === 'added', earlier === command.id]).toEqual([stored !== undefined, stored !== undefined]);
      }
    });

    test('may use the key again when it has expired', async () => {
      const { commands } = open({ atomicWrites: cost });
      await commands.add(command, idempotency, T0);
      const later = idempotency.expiresAt;
      const again = { ...idempotency, expiresAt: later + SECOND };
      expect(await commands.add(other, again, later)).toMatchObject({ kind: 'added' });
    });
  },
);

describe('a submission that was cut off between its key and its command', () => {
  const cutOff = async () => {
    let cut = true;
    const { real, commands } = open({
      atomicWrites: 'costly',
      write: async (parts) => {
        if (cut && parts.some((part) => 'put' in part && part.put.sk === 'command')) throw new Error('cut off');
        return real.write(parts);
      },
    });
    await expect(commands.add(aCommand(), idempotency, T0)).rejects.toThrow('cut off');
    cut = false;
    return commands;
  };
  const repetition = aCommand({ id: commandId(2) });

  test('may be withdrawn, and its repetition is not stored', async () => {
    const commands = await cutOff();
    const by = { id: commandId(3), now: T0 };
    expect(await commands.withdraw(repetition.tenant, idempotency, by)).toBeUndefined();
    expect(await commands.add(repetition, idempotency, T0)).toMatchObject({ kind: 'repeated' });
    expect(await commands.list(repetition.tenant, {}, { limit: 10 })).toEqual({ commands: [] });
  });

  test('is completed by its repetition', async () => {
    const commands = await cutOff();
    const added = await commands.add(repetition, idempotency, T0);
    expect(added).toMatchObject({ kind: 'added', stored: { command: { id: commandId() } } });
    expect(await commands.find(reference)).toBeDefined();
  });
});
