import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';
import type * as z from 'zod';
import { cancelCommand } from '../../shared/app/cancel-command.ts';
import { makeDeliveries } from '../../shared/app/deliver-webhooks.ts';
import { sealTenant } from '../../shared/app/seal-audit.ts';
import { submitCommand } from '../../shared/app/submit-command.ts';
import { createWebhook } from '../../shared/app/webhooks.ts';
import type { CreateWebhook, NewWebhookView } from '../../shared/contract/webhook-schemas.ts';
import type { Actor } from '../../shared/domain/actor.ts';
import type { Clock } from '../../shared/domain/clock.ts';
import type { StoredEvent } from '../../shared/domain/events.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import type { Webhook, WebhookId } from '../../shared/domain/webhooks.ts';
import { isLoopbackAddress } from '../../shared/egress/addresses.ts';
import { type Egress, makeEgress } from '../../shared/egress/egress.ts';
import { parseSecretText, type Verdict, verify } from '../../shared/webhooks/standard-webhooks.ts';
import { T0 } from './commands.ts';
import { owner, type TestWorker, testWorker } from './deps.ts';
import { listenLocally } from './listen-locally.ts';

/** What a receiver was sent. */
export interface Message {
  readonly id: string;
  readonly timestampSeconds: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  readonly event: StoredEvent;
  /** Whether it is signed with the key in such a text, by the clock of its own timestamp. */
  verifiedBy(secret: string): Verdict;
}

export type Answer = (message: Message, response: ServerResponse) => unknown;

export interface Receiver {
  readonly url: string;
  readonly messages: Message[];
  /** How it answers from now on. */
  answer: Answer;
}

export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    response.writeHead(code, headers).end();

/** A real server on this machine, which says 204 unless told otherwise. */
export const openReceiver = async (answer: Answer = status(204)): Promise<Receiver> => {
  const receiver = { url: '', messages: [] as Message[], answer };
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    const message = toMessage(request.headers, body);
    receiver.messages.push(message);
    receiver.answer(message, response);
  });
  const { url, close } = await listenLocally(server);
  onTestFinished(close);
  return Object.assign(receiver, { url: `${url}/hook` });
};

const toMessage = (headers: IncomingMessage['headers'], body: Buffer): Message => {
  const header = (name: string) => headers[name] as string | undefined;
  const timestampSeconds = Number(header('webhook-timestamp'));
  return {
    id: header('webhook-id') ?? '',
    timestampSeconds,
    headers,
    body,
    event: JSON.parse(body.toString()) as StoredEvent,
    verifiedBy(secret) {
      const received = {
        id: header('webhook-id'),
        timestamp: header('webhook-timestamp'),
        signature: header('webhook-signature'),
        body,
      };
      return verify([parseSecretText(secret) ?? Buffer.alloc(32)], received, timestampSeconds);
    },
  };
};

/** The guarded client, bent for servers of this machine alone. */
const loopbackEgress = (clock: Clock): Egress =>
  makeEgress({
    clock,
    resolve: async () => ['127.0.0.1'],
    timeoutSeconds: 15,
    bent: { isAllowed: isLoopbackAddress, http: true },
  });

/** A worker whose webhooks may point to this machine. */
export const webhookWorker = async (options: Parameters<typeof testWorker>[0] = {}): Promise<TestWorker> => {
  const deps = await testWorker({ work: false, ...options });
  return { ...deps, egress: options.egress ?? loopbackEgress(deps.clock) };
};

type Body = z.input<typeof CreateWebhook>;
type New = z.output<typeof NewWebhookView>;

export const webhook = (deps: TestWorker, url: string, over: Partial<Body> = {}, actor: Actor = owner): Promise<New> =>
  createWebhook(deps, actor, { url, events: ['command.*'], ...over });

/** Commands that were submitted and canceled, their events in the log: three each. Gives their ids. */
export const happen = async (deps: TestWorker, count = 1, body: object = {}, actor: Actor = owner) => {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    const { command } = await submitCommand(deps, actor, { body: { argv: ['true', String(i)], ...body } });
    await cancelCommand(deps, actor, command.id);
    ids.push(command.id);
  }
  await deps.clock.advance(1);
  await sealTenant(deps, actor.tenant);
  return ids;
};

/** All that is due now, of all webhooks, until nothing more is. */
export const deliver = async (deps: TestWorker, signal = new AbortController().signal): Promise<void> => {
  const deliveries = makeDeliveries(deps, { signal });
  deliveries.begin(await deps.webhooks.enabled());
  await deliveries.ended();
};

export const stored = async (deps: TestWorker, { id }: Pick<New, 'id'>): Promise<Webhook> =>
  (await deps.webhooks.find({ tenant: owner.tenant, id })) as Webhook;

/** Until something is so that real sockets bring about. */
export const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
};

export const webhookId = (n = 1): WebhookId => `whk_${String(n).padStart(16, '0')}` as WebhookId;

/** Made at T0, told of nothing yet. */
export const aWebhook = (over: Partial<Webhook> = {}): Webhook => ({
  id: webhookId(),
  tenant: toTenantId('default'),
  description: '',
  url: 'https://hooks.example.com/',
  events: ['command.*'],
  labels: {},
  enabled: true,
  version: 1,
  member: 'owner',
  scope: {},
  createdAt: T0,
  createdBy: 'owner',
  updatedAt: T0,
  keys: [{ value: '0'.repeat(32), createdAt: T0 }],
  after: 0,
  open: [],
  ...over,
});
