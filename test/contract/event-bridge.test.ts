import { describe, expect, onTestFinished, test } from 'vitest';
import type { StoredEvent } from '../../shared/domain/events.ts';
import { eventBridge, eventBridgeClient } from '../../shared/events/event-bridge.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { eventBridgeServer } from '../support/clouds/aws/event-bridge.ts';
import { AWS } from '../support/fauxqs.ts';

const open = async ({ bus = 'errand' } = {}) => {
  const server = await eventBridgeServer(['errand']);
  const client = eventBridgeClient({ ...AWS, endpoint: server.url });
  const warned: unknown[] = [];
  const log = { ...silentLog, warn: (_: string, fields?: object) => void warned.push(fields) };
  onTestFinished(async () => {
    client.destroy();
    await server.close();
  });
  const subscription = eventBridge({ client, bus, log });
  const signal = new AbortController().signal;
  const put = (events: readonly StoredEvent[]) => subscription.handle(events, signal);
  const order = () => server.taken.map(({ Detail }) => (JSON.parse(Detail ?? '') as StoredEvent).sequence);
  return { server, put, order, warned };
};

/** So many events, of as many commands, one after the other. */
const eventsOf = (count: number, commands: number): StoredEvent[] =>
  Array.from({ length: count }, (_, i) => ({
    specversion: '1.0',
    id: `default-${i + 1}`,
    source: 'errand',
    type: 'command.started',
    time: '2030-01-01T00:00:00.000Z',
    subject: `cmd_${i % commands}`,
    tenant: 'default',
    sequence: i + 1,
    datacontenttype: 'application/json',
    data: { id: `cmd_${i % commands}`, attempt: 1 },
  }));

describe('events on EventBridge', () => {
  test('are put whole, by ten at most, with their type and time where rules look', async () => {
    const { server, put, order } = await open();
    const events = eventsOf(25, 25);
    expect(await put(events)).toBe(25);
    expect(server.requests).toEqual([10, 10, 5]);
    expect(order()).toEqual(events.map(({ sequence }) => sequence));
    expect(server.taken[0]).toEqual({
      EventBusName: 'errand',
      Source: 'errand',
      DetailType: 'command.started',
      Time: Date.parse('2030-01-01T00:00:00Z') / 1_000,
      Detail: JSON.stringify(events[0]),
    });
  });

  test('of one subject are put one after the other was taken', async () => {
    const { server, put, order } = await open();
    // 1 2 3 of three commands, thrice.
    expect(await put(eventsOf(9, 3))).toBe(9);
    expect(server.requests).toEqual([3, 3, 3]);
    expect(order()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('that are refused hold back what comes after them of their subject, and are done no further than before them', async () => {
    const { server, put, order, warned } = await open();
    const events = eventsOf(9, 3);
    server.faults.next('PutEvents', { kind: 'refuse', entries: [1], code: 'ThrottlingException' });
    expect(await put(events)).toBe(1);
    expect(order()).toEqual([1, 3, 4, 6, 7, 9]);
    expect(warned).toEqual([{ count: 1, codes: ['ThrottlingException'] }]);
    expect(await put(events.slice(1))).toBe(8);
    const second = order().filter((sequence) => sequence % 3 === 2);
    expect(second).toEqual([2, 5, 8]);
  });

  test.for([
    ['a fault of AWS’s', { kind: 'status', status: 500, code: 'InternalException' }],
    ['a broken connection', { kind: 'reset' }],
    ['an answer that was lost', { kind: 'answer-lost' }],
  ] as const)('survive %s, with the same id should they come twice', async ([, fault]) => {
    const { server, put, order } = await open();
    server.faults.next('PutEvents', fault);
    expect(await put(eventsOf(3, 3))).toBe(3);
    expect([...new Set(order())]).toEqual([1, 2, 3]);
  });

  test('fail as a whole when EventBridge stays away, and for a bus that is not there none is done', async () => {
    const { server, put } = await open();
    const down = { kind: 'status', status: 503, code: 'ServiceUnavailable' } as const;
    server.faults.next('PutEvents', down, down, down);
    await expect(put(eventsOf(3, 3))).rejects.toThrow();
    const other = await open({ bus: 'not-there' });
    expect(await other.put(eventsOf(3, 3))).toBe(0);
    expect(other.warned).toEqual([{ count: 3, codes: ['ResourceNotFoundException'] }]);
  });
});
