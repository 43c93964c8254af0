import type { request } from 'node:https';
import { describe, expect, test } from 'vitest';
import { makeDeliveries } from '../../../shared/app/deliver-webhooks.ts';
import { addMember, changeMember, removeMember } from '../../../shared/app/members.ts';
import { readEvents } from '../../../shared/app/read-events.ts';
import { sealTenant } from '../../../shared/app/seal-audit.ts';
import { addTenant, changeTenant } from '../../../shared/app/tenants.ts';
import { testWebhook } from '../../../shared/app/test-webhook.ts';
import { listWebhookDeliveries, redeliver } from '../../../shared/app/webhook-deliveries.ts';
import { changeWebhook, getWebhook, rotateWebhook } from '../../../shared/app/webhooks.ts';
import type { Actor } from '../../../shared/domain/actor.ts';
import { toTenantId } from '../../../shared/domain/ids.ts';
import { LIMITS } from '../../../shared/domain/limits.ts';
import { ROLES } from '../../../shared/domain/permissions.ts';
import { RETRY_SECONDS } from '../../../shared/domain/webhook-steps.ts';
import { makeEgress } from '../../../shared/egress/egress.ts';
import { jsonLog } from '../../../shared/telemetry/log.ts';
import { owner, type TestWorker, testWorker } from '../../support/deps.ts';
import { fakeClock } from '../../support/fake-clock.ts';
import {
  deliver,
  happen,
  openReceiver,
  type Receiver,
  status,
  stored,
  until,
  webhook,
  webhookWorker,
} from '../../support/webhook-receivers.ts';

const DAY = 86_400_000;
const typesAt = ({ messages }: Receiver, subject: string) =>
  messages.filter(({ event }) => event.subject === subject).map(({ event }) => event.type);
const deliveriesOf = async (deps: TestWorker, id: never, query = {}) =>
  (await listWebhookDeliveries(deps, owner, id, query)).items;
const eventsOf = async (deps: TestWorker, type: 'webhook.disabled') => {
  await sealTenant(deps, owner.tenant);
  return (await readEvents(deps, owner, { type: [type] })).items;
};

describe('a webhook', () => {
  test('is posted each event as it is in the log, once, those of one command in their order, signed as the standard has it', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    const { id, secret } = await webhook(deps, receiver.url);
    const commands = await happen(deps, 30);
    await deliver(deps);
    await deliver(deps);
    expect(receiver.messages).toHaveLength(90);
    for (const command of commands) {
      expect(typesAt(receiver, command)).toEqual([
        'command.submitted',
        'command.cancel_requested',
        'command.completed',
      ]);
    }
    const { items } = await readEvents(deps, owner, {});
    expect(receiver.messages.map(({ event }) => event).sort((a, b) => a.sequence - b.sequence)).toEqual(
      items.filter(({ type }) => type.startsWith('command.')),
    );
    expect(new Set(receiver.messages.map((message) => message.id)).size).toBe(90);
    for (const message of receiver.messages) {
      expect(message.verifiedBy(secret)).toMatchObject({ ok: true });
      expect(message.headers).toMatchObject({
        'content-type': 'application/cloudevents+json; charset=utf-8',
        'content-length': String(message.body.length),
      });
    }
    expect(await deliveriesOf(deps, id as never, { status: 'delivered', limit: 100 })).toHaveLength(90);
    expect(await stored(deps, { id })).toMatchObject({ open: [] });
    expect(await stored(deps, { id })).not.toHaveProperty('lease');
  });

  test('is told of what happens after it was made, of its types, and of commands with its labels', async () => {
    const deps = await webhookWorker();
    const [all, ended, ofTeam] = [await openReceiver(), await openReceiver(), await openReceiver()];
    await happen(deps, 3);
    await webhook(deps, all.url, { events: ['*'] });
    await webhook(deps, ended.url, { events: ['command.completed', 'policy.*'] });
    await webhook(deps, ofTeam.url, { events: ['*'], labels: { team: 'a' } });
    await happen(deps, 1);
    const [labelled] = await happen(deps, 1, { labels: { team: 'a', more: 'b' } });
    await happen(deps, 1, { labels: { team: 'b' } });
    await deliver(deps);
    expect(all.messages.map(({ event }) => event.type)).toEqual(expect.arrayContaining(['webhook.created']));
    expect(all.messages).toHaveLength(12);
    expect(ended.messages.map(({ event }) => event.type)).toEqual(Array(3).fill('command.completed'));
    expect(ofTeam.messages.map(({ event }) => event.subject)).toEqual(Array(3).fill(labelled));
  });

  test('is tried ten times over three days, each time with the same id and a signature of that time, and then given up', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver(status(500));
    const { id, secret } = await webhook(deps, receiver.url, { events: ['command.submitted'] });
    await happen(deps);
    await deliver(deps);
    for (const [i, seconds] of RETRY_SECONDS.entries()) {
      await deps.clock.advance(seconds * 1_100 - 1);
      await deliver(deps);
      expect(receiver.messages).toHaveLength(i + 1);
      await deps.clock.advance(1);
      await deliver(deps);
      expect(receiver.messages).toHaveLength(i + 2);
    }
    await deps.clock.advance(30 * DAY);
    await deliver(deps);
    expect(receiver.messages).toHaveLength(10);
    expect(new Set(receiver.messages.map((one) => one.id)).size).toBe(1);
    const times = receiver.messages.map(({ timestampSeconds }) => timestampSeconds);
    expect(
      times.slice(1).map((time, i) => Math.abs(time - (times[i] ?? 0) - (RETRY_SECONDS[i] ?? 0) * 1.1) <= 1),
    ).toEqual(Array(9).fill(true));
    for (const message of receiver.messages) expect(message.verifiedBy(secret)).toMatchObject({ ok: true });
    expect(await deliveriesOf(deps, id as never)).toMatchObject([
      { status: 'dead', tries: 10, lastTry: { statusCode: 500, fault: null }, nextTryAt: null },
    ]);
    expect(await getWebhook(deps, owner, id)).toMatchObject({ enabled: true, waiting: 0 });
  });

  test('that refuses one command’s events is told of it in order later, and of all others meanwhile', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    const { id } = await webhook(deps, receiver.url);
    const [bad = '', good = ''] = await happen(deps, 2);
    let refuses = true;
    receiver.answer = ({ event }, response) => response.writeHead(refuses && event.subject === bad ? 503 : 204).end();
    await deliver(deps);
    expect(typesAt(receiver, good)).toHaveLength(3);
    expect(typesAt(receiver, bad)).toEqual(['command.submitted']);
    expect(await deliveriesOf(deps, id as never, { status: 'waiting' })).toMatchObject([
      { type: 'command.completed', tries: 0, lastTry: null },
      { type: 'command.cancel_requested', tries: 0 },
      { type: 'command.submitted', tries: 1, lastTry: { statusCode: 503 } },
    ]);
    refuses = false;
    await deps.clock.advance(6_000);
    await deliver(deps);
    expect(typesAt(receiver, bad)).toEqual([
      ...['command.submitted', 'command.submitted', 'command.cancel_requested', 'command.completed'],
    ]);
  });

  test.for<[string, string]>([
    ['seconds', '120'],
    ['a date', new Date(Date.parse('2030-01-01T00:00:00Z') + 120_000).toUTCString()],
  ])('that asks to wait, in %s, is left alone for so long', async ([, value]) => {
    const deps = await webhookWorker();
    const receiver = await openReceiver(status(429, { 'retry-after': value }));
    await webhook(deps, receiver.url, { events: ['command.submitted'] });
    await happen(deps);
    await deliver(deps);
    await deps.clock.advance(110_000);
    await deliver(deps);
    expect(receiver.messages).toHaveLength(1);
    await deps.clock.advance(10_000);
    await deliver(deps);
    expect(receiver.messages).toHaveLength(2);
  });

  test('whose receiver is gone is disabled, which is told; enabled again, it is sent what waited and not what it missed', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver(status(410));
    const { id } = await webhook(deps, receiver.url, { events: ['command.submitted'] });
    await happen(deps);
    await deliver(deps);
    await happen(deps);
    await deps.clock.advance(DAY);
    await deliver(deps);
    expect(receiver.messages).toHaveLength(1);
    expect(await getWebhook(deps, owner, id)).toMatchObject({
      enabled: false,
      disabled: { reason: 'gone' },
      waiting: 1,
    });
    expect(await eventsOf(deps, 'webhook.disabled')).toMatchObject([
      { subject: id, data: { reason: 'gone', open: 1, host: new URL(receiver.url).host } },
    ]);
    await expect(redeliver(deps, owner, id, { status: 'dead' })).resolves.toEqual({ redelivering: 0, left: 0 });
    receiver.answer = status(200);
    await changeWebhook(deps, owner, id, { enabled: true });
    await happen(deps);
    await deliver(deps);
    expect(receiver.messages.map(({ event }) => event.sequence)).toHaveLength(3);
  });

  test('that is enabled again and wants what it missed is sent all of it', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    const { id } = await webhook(deps, receiver.url, { events: ['command.submitted'], enabled: false });
    await happen(deps, 5);
    await deliver(deps);
    expect(receiver.messages).toEqual([]);
    await changeWebhook(deps, owner, id, { enabled: true, missed: 'send' });
    await deliver(deps);
    expect(receiver.messages).toHaveLength(5);
  });

  test('that never took anything for five days is disabled, with an event', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver(status(500));
    const { id } = await webhook(deps, receiver.url, { events: ['command.submitted'] });
    for (let day = 0; day <= 6; day++) {
      await happen(deps);
      await deliver(deps);
      await deps.clock.advance(DAY);
    }
    expect(await getWebhook(deps, owner, id)).toMatchObject({ enabled: false, disabled: { reason: 'failing' } });
    expect(await eventsOf(deps, 'webhook.disabled')).toMatchObject([{ data: { reason: 'failing' } }]);
  });

  test('that fails and fails keeps so many events and no more; the others wait in the log, and none is lost', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver(status(500));
    const { id } = await webhook(deps, receiver.url, { events: ['command.submitted'] });
    const commands = await happen(deps, LIMITS.webhookOpen + 20);
    await deliver(deps);
    expect(await getWebhook(deps, owner, id)).toMatchObject({ waiting: LIMITS.webhookOpen });
    await deps.clock.advance(20 * 3_600_000);
    receiver.answer = status(200);
    receiver.messages.length = 0;
    await deliver(deps);
    expect(receiver.messages.map(({ event }) => event.subject).toSorted()).toEqual(commands.toSorted());
  });
});

describe('a receiver', () => {
  test('that hangs is given up after 15 s, and delays no other webhook and no other tenant', async () => {
    const deps = await webhookWorker();
    const { tenant, actor } = await anotherTenant(deps);
    const [hanging, well, theirs] = [await openReceiver(() => {}), await openReceiver(), await openReceiver()];
    const { id } = await webhook(deps, hanging.url, { events: ['command.submitted'] });
    await webhook(deps, well.url, { events: ['command.submitted'] });
    await webhook(deps, theirs.url, { events: ['command.submitted'] }, actor);
    await happen(deps, 2);
    await happen(deps, 1, {}, actor);
    const deliveries = makeDeliveries(deps, { signal: new AbortController().signal });
    deliveries.begin(await deps.webhooks.enabled());
    await until(() => well.messages.length === 2 && theirs.messages.length === 1 && hanging.messages.length === 2);
    expect(theirs.messages[0]?.event.tenant).toBe(tenant);
    await deps.clock.advance(15_000);
    await deliveries.ended();
    expect(await deliveriesOf(deps, id as never)).toMatchObject(
      Array(2).fill({
        status: 'waiting',
        tries: 1,
        lastTry: { statusCode: null, fault: 'timeout', durationMs: 15_000 },
      }),
    );
  });

  test.for<[string, Receiver['answer'], object]>([
    ['answers with a body without end', (_, response) => drown(response), { statusCode: 200 }],
    ['answers 201 and drips its body', (_, response) => response.writeHead(201).write('x'), { statusCode: 201 }],
    ['redirects', status(307, { location: 'http://169.254.169.254/' }), { statusCode: null, fault: 'redirect' }],
    ['hangs up', (_, response) => response.destroy(), { statusCode: null, fault: 'unreachable' }],
    ['says 404', status(404), { statusCode: 404 }],
    ['sends headers without end', status(200, { long: 'x'.repeat(40_000) }), { fault: 'unreachable' }],
  ])('that %s is asked once, and its status alone counts', async ([, answer, lastTry]) => {
    const deps = await webhookWorker();
    const receiver = await openReceiver(answer);
    const { id } = await webhook(deps, receiver.url, { events: ['command.submitted'] });
    await happen(deps);
    await deliver(deps);
    expect(receiver.messages).toHaveLength(1);
    expect(await deliveriesOf(deps, id as never)).toMatchObject([{ tries: 1, lastTry }]);
  });

  test.for<[string, string, readonly string[]]>([
    ['metadata of a cloud', 'https://metadata.google.internal/', ['169.254.169.254']],
    ['this machine', 'https://localhost/', ['127.0.0.1', '::1']],
    ['this machine, by IPv6', 'https://six.example/', ['::1']],
    ['a private network', 'https://inside.example/', ['10.0.0.7']],
    ['a private network among public ones', 'https://mixed.example/', ['8.8.8.8', '192.168.1.1']],
    ['an address within another', 'https://embedded.example/', ['64:ff9b::a9fe:a9fe']],
  ])('that is %s by its name is never connected to', async ([, url, addresses]) => {
    const connections: unknown[] = [];
    const noted = ((how: unknown) => {
      connections.push(how);
      throw new Error('no network here');
    }) as unknown as typeof request;
    const plain = await testWorker({ work: false });
    const egress = makeEgress({ clock: plain.clock, resolve: async () => addresses, request: noted });
    const deps = { ...plain, egress };
    const { id } = await webhook(deps, url, { events: ['command.submitted'] });
    await happen(deps);
    await deliver(deps);
    expect(await deliveriesOf(deps, id as never)).toMatchObject([{ lastTry: { statusCode: null, fault: 'address' } }]);
    expect(await testWebhook(deps, owner, id)).toMatchObject({ delivered: false, try: { fault: 'address' } });
    expect(connections).toEqual([]);
  });

  test('whose name points elsewhere at each try is looked at anew each time', async () => {
    const plain = await testWorker({ work: false });
    const answers = [['8.8.8.8'], ['10.0.0.1']];
    const hosts: unknown[] = [];
    const noted = ((how: { host: string }) => {
      hosts.push(how.host);
      throw new Error('no network here');
    }) as unknown as typeof request;
    const egress = makeEgress({ clock: plain.clock, resolve: async () => answers.shift() ?? [], request: noted });
    const deps = { ...plain, egress };
    const { id } = await webhook(deps, 'https://rebinding.example/', { events: ['command.submitted'] });
    await happen(deps);
    await expect(deliver(deps)).resolves.toBeUndefined();
    await deps.clock.advance(DAY);
    await deliver(deps);
    expect(hosts).toEqual(['8.8.8.8']);
    expect(await deliveriesOf(deps, id as never)).toMatchObject([{ lastTry: { fault: 'address' } }]);
  });
});

describe('a process that dies', () => {
  test('after something was sent and before that was stored, has it sent again, with the same id, and loses nothing', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    await webhook(deps, receiver.url);
    const [command = ''] = await happen(deps);
    let dies = true;
    const webhooks: typeof deps.webhooks = {
      ...deps.webhooks,
      async change(reference, change) {
        if (dies && receiver.messages.length > 0) throw new Error('killed');
        return deps.webhooks.change(reference, change);
      },
    };
    await deliver({ ...deps, webhooks });
    expect(receiver.messages).toHaveLength(1);
    dies = false;
    // Others wait for the lease of the dead.
    await deliver(deps);
    expect(receiver.messages).toHaveLength(1);
    await deps.clock.advance(61_000);
    await deliver(deps);
    const types = ['command.submitted', 'command.submitted', 'command.cancel_requested', 'command.completed'];
    expect(typesAt(receiver, command)).toEqual(types);
    expect(receiver.messages[1]).toMatchObject({ id: receiver.messages[0]?.id, body: receiver.messages[0]?.body });
  });

  test('is told to end while something is on its way: nothing of that counts, and the next one sends it at once', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver(() => {});
    const { id } = await webhook(deps, receiver.url, { events: ['command.submitted'] });
    await happen(deps);
    const closing = new AbortController();
    const delivering = deliver(deps, closing.signal);
    await until(() => receiver.messages.length === 1);
    closing.abort();
    await delivering;
    for (const one of ['lease', 'failingSince']) expect(await stored(deps, { id })).not.toHaveProperty(one);
    receiver.answer = status(204);
    await deliver(deps);
    expect(receiver.messages.map((one) => one.id)).toEqual(Array(2).fill(receiver.messages[0]?.id));
    expect(await deliveriesOf(deps, id as never)).toMatchObject([{ status: 'delivered', tries: 1 }]);
  });

  test('leaves it to the others: of any number that deliver at once, nothing is sent twice', async () => {
    const deps = await webhookWorker();
    const other = await webhookWorker({ store: deps.store, clock: deps.clock, name: 'worker-2' });
    const receiver = await openReceiver();
    await webhook(deps, receiver.url);
    await happen(deps, 20);
    await Promise.all(
      [deps, { ...other, signingKeys: deps.signingKeys }].flatMap((one) => [deliver(one), deliver(one)]),
    );
    expect(receiver.messages).toHaveLength(60);
  });
});

describe('a secret', () => {
  test('that was rotated signs beside the new one until the overlap is over', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    const first = await webhook(deps, receiver.url, { events: ['command.submitted'] });
    const second = await rotateWebhook(deps, owner, first.id, { overlapSeconds: 3_600 });
    expect(second.secret).not.toBe(first.secret);
    expect(second.secrets).toMatchObject([
      { until: null },
      { until: new Date(deps.clock.now() + 3_600_000).toISOString() },
    ]);
    const verdicts = async () => {
      await happen(deps);
      await deliver(deps);
      const message = receiver.messages.at(-1);
      return [first, second].map(({ secret }) => message?.verifiedBy(secret).ok);
    };
    expect(await verdicts()).toEqual([true, true]);
    expect(receiver.messages.at(-1)?.headers['webhook-signature']).toMatch(/^v1,\S{44} v1,\S{44}$/);
    await deps.clock.advance(3_600_000);
    expect(await verdicts()).toEqual([false, true]);
    expect((await getWebhook(deps, owner, first.id)).secrets).toHaveLength(1);
  });

  test('that leaked is replaced without an overlap; more than three never sign at once', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    const { id, secret } = await webhook(deps, receiver.url);
    const replaced = await rotateWebhook(deps, owner, id, { overlapSeconds: 0 });
    await testWebhook(deps, owner, id);
    expect(receiver.messages.at(-1)?.verifiedBy(secret).ok).toBe(false);
    expect(receiver.messages.at(-1)?.verifiedBy(replaced.secret).ok).toBe(true);
    for (let i = 0; i < 4; i++) await rotateWebhook(deps, owner, id, {});
    expect((await getWebhook(deps, owner, id)).secrets).toHaveLength(3);
    expect((await stored(deps, { id })).keys).toHaveLength(3);
  });

  test('is in no log, no message, no event and no answer but its own, whatever fails', async () => {
    const said: string[] = [];
    const log = jsonLog(fakeClock(), (line) => said.push(line));
    const deps = await webhookWorker({ log });
    const receiver = await openReceiver(status(500));
    const { id, secret } = await webhook(deps, receiver.url);
    await happen(deps);
    await deliver(deps);
    const vault = { read: () => Promise.reject(new Error(`The vault cannot be used for ${id}.`)) };
    await deliver({ ...deps, signingKeys: { ...deps.signingKeys, ...vault } });
    await deps.clock.advance(10_000);
    await deliver({ ...deps, signingKeys: { ...deps.signingKeys, ...vault } });
    expect(said.join()).toContain('could not be delivered to');
    said.push(...receiver.messages.map(({ headers, body }) => JSON.stringify(headers) + body));
    said.push(JSON.stringify(await getWebhook(deps, owner, id)), JSON.stringify(await deliveriesOf(deps, id as never)));
    await sealTenant(deps, owner.tenant);
    said.push(JSON.stringify(await readEvents(deps, owner, {})), JSON.stringify(await stored(deps, { id })));
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
    for (const form of [key.toString('base64').slice(0, -1), key.toString('hex'), key.toString('latin1')]) {
      for (const text of said) expect(text).not.toContain(form);
    }
  });

  test('that the vault has lost is a failure like any other, and nothing goes out unsigned', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    const { id } = await webhook(deps, receiver.url, { events: ['command.submitted'] });
    await deps.signingKeys.remove(owner.tenant, id);
    await happen(deps);
    await deliver(deps);
    expect(receiver.messages).toEqual([]);
    expect(await deliveriesOf(deps, id as never)).toMatchObject([{ lastTry: { fault: 'no-secret' } }]);
  });
});

describe('by hand', () => {
  test('a delivery is sent again with its id; those that were given up all at once', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    const { id } = await webhook(deps, receiver.url, { events: ['command.submitted'] });
    await happen(deps, 2);
    await deliver(deps);
    const [last] = await deliveriesOf(deps, id as never);
    expect(await redeliver(deps, owner, id, { sequence: last?.sequence })).toEqual({ redelivering: 1, left: 0 });
    await deliver(deps);
    const ids = receiver.messages.map((message) => message.id);
    expect(ids).toHaveLength(3);
    expect(ids.slice(0, 2)).toContain(ids[2]);
    await expect(redeliver(deps, owner, id, { sequence: 9_999 })).rejects.toMatchObject({ code: 'not-found' });

    receiver.answer = status(500);
    await happen(deps, 60);
    for (const seconds of [0, ...RETRY_SECONDS]) {
      await deps.clock.advance(seconds * 1_200);
      await deliver(deps);
    }
    expect(await deliveriesOf(deps, id as never, { status: 'dead', limit: 100 })).toHaveLength(60);
    receiver.answer = status(204);
    expect(await redeliver(deps, owner, id, { status: 'dead' })).toEqual({ redelivering: 50, left: 10 });
    await deliver(deps);
    expect(await redeliver(deps, owner, id, { status: 'dead' })).toEqual({ redelivering: 10, left: 0 });
    await deliver(deps);
    expect(await deliveriesOf(deps, id as never, { status: 'dead' })).toEqual([]);
  });

  test('one that waits for its next try is tried now; of one that is disabled nothing is', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver(status(500));
    const { id } = await webhook(deps, receiver.url, { events: ['command.submitted'] });
    await happen(deps);
    await deliver(deps);
    const [waiting] = await deliveriesOf(deps, id as never);
    receiver.answer = status(204);
    await redeliver(deps, owner, id, { sequence: waiting?.sequence });
    await deliver(deps);
    expect(await deliveriesOf(deps, id as never)).toMatchObject([{ status: 'delivered', tries: 2 }]);
    await changeWebhook(deps, owner, id, { enabled: false });
    await expect(redeliver(deps, owner, id, { sequence: waiting?.sequence })).rejects.toMatchObject({
      code: 'conflict',
    });
  });

  test('a ping is sent and told of, and is no part of the deliveries', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    const { id, secret } = await webhook(deps, receiver.url);
    const pinged = await testWebhook(deps, owner, id);
    const [message] = receiver.messages;
    expect(pinged).toMatchObject({ delivered: true, message: message?.id, try: { statusCode: 204, fault: null } });
    expect(message?.verifiedBy(secret)).toMatchObject({ ok: true });
    expect(message?.event).toMatchObject({ type: 'webhook.ping', subject: id, tenant: 'default' });
    receiver.answer = status(500);
    expect(await testWebhook(deps, owner, id)).toMatchObject({ delivered: false, try: { statusCode: 500 } });
    expect(await deliveriesOf(deps, id as never)).toEqual([]);
    expect(await getWebhook(deps, owner, id)).toMatchObject({ failingSince: null, waiting: 0 });
  });
});

describe('a webhook is told what its member may read, at the time of the telling', () => {
  const memberOf = async (deps: TestWorker, role: 'admin' | 'viewer' | 'operator', over: Partial<Actor> = {}) => {
    const { id } = await addMember(deps, owner, { name: role, role });
    const credential = { kind: 'api-key' as const, id: 'k' };
    return { ...owner, id, role, permissions: new Set(ROLES[role]), credential, ...over };
  };

  test('of a member that may not read the audit log any more, only events of commands', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    const admin = await memberOf(deps, 'admin');
    await webhook(deps, receiver.url, { events: ['*'] }, admin);
    await changeMember(deps, owner, admin.id, { role: 'operator' });
    await happen(deps);
    await deliver(deps);
    expect(receiver.messages.map(({ event }) => event.type.split('.')[0])).toEqual(Array(3).fill('command'));
  });

  test('of a member that is gone nothing, and it is disabled; whoever changes it takes it on', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    const admin = await memberOf(deps, 'admin');
    const { id } = await webhook(deps, receiver.url, {}, admin);
    await removeMember(deps, owner, admin.id);
    await happen(deps);
    await deliver(deps);
    expect(receiver.messages).toEqual([]);
    expect(await getWebhook(deps, owner, id)).toMatchObject({ enabled: false, disabled: { reason: 'member' } });
    await changeWebhook(deps, owner, id, { enabled: true, missed: 'send' });
    await deliver(deps);
    expect(receiver.messages).toHaveLength(3);
  });

  test('of a credential with a scope, only commands within it, and others’ webhooks are not there for it', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    const scoped = await memberOf(deps, 'admin', { scope: { labels: { team: 'a' } } });
    const { id } = await webhook(deps, receiver.url, { events: ['*'] }, scoped);
    const another = await webhook(deps, receiver.url);
    await changeWebhook(deps, owner, another.id, { enabled: false });
    await happen(deps, 1, { labels: { team: 'b' } });
    const [own] = await happen(deps, 1, { labels: { team: 'a' } });
    await deliver(deps);
    expect(receiver.messages.map(({ event }) => event.subject)).toEqual(Array(3).fill(own));
    expect(await getWebhook(deps, scoped, id)).toMatchObject({ id });
    await expect(getWebhook(deps, scoped, another.id)).rejects.toMatchObject({ code: 'not-found' });
  });

  test('of a suspended tenant nothing, until it is good again', async () => {
    const deps = await webhookWorker();
    const receiver = await openReceiver();
    const { tenant, actor } = await anotherTenant(deps);
    await webhook(deps, receiver.url, { events: ['command.submitted'] }, actor);
    await happen(deps, 1, {}, actor);
    await changeTenant(deps, owner, tenant, { suspended: true });
    await deliver(deps);
    expect(receiver.messages).toEqual([]);
    await changeTenant(deps, owner, tenant, { suspended: false });
    await deliver(deps);
    expect(receiver.messages).toHaveLength(1);
  });
});

const anotherTenant = async (deps: TestWorker): Promise<{ tenant: string; actor: Actor }> => {
  await addTenant(deps, owner, { id: 'acme', name: 'Acme' });
  const tenant = toTenantId('acme');
  const member = await addMember(deps, { ...owner, tenant }, { name: 'm', role: 'admin' });
  return { tenant, actor: { ...owner, tenant, id: member.id } };
};

const drown = (response: Parameters<Receiver['answer']>[1]): void => {
  const go = () => {
    while (!response.destroyed && response.write(Buffer.alloc(65_536)));
  };
  response.on('drain', go);
  response.writeHead(200);
  go();
};
