import type { Client } from '../../sdk/client.ts';
import type { Delivery, DeliveryStatus, NewWebhook, Webhook } from '../../sdk/webhooks.ts';
import { UsageError } from '../arguments.ts';
import { type ConnectOptions, withConnection } from '../connect.ts';
import { ago, table } from '../render.ts';
import { until } from '../schedule-words.ts';
import { plain, say, type Terminal, write } from '../terminal.ts';

export interface WebhookOptions extends ConnectOptions {
  readonly json?: boolean;
}

export interface ToldOptions extends WebhookOptions {
  readonly event?: string[];
  readonly label?: Record<string, string>;
  readonly description?: string;
}

export interface CreateOptions extends ToldOptions {
  readonly disabled?: boolean;
}

export interface UpdateOptions extends ToldOptions {
  /** A URL. */
  readonly to?: string;
  readonly enable?: boolean;
  readonly disable?: boolean;
  readonly sendMissed?: boolean;
  readonly onVersion?: number;
}

export interface DeliveriesOptions extends WebhookOptions {
  readonly status?: DeliveryStatus;
  readonly limit?: number;
}

const DEFAULT_LIMIT = 20;
const NOT_TAKEN = 1;

/** Makes a webhook: its secret alone on stdout, what it is on stderr. */
export const createWebhook = (url: string, options: CreateOptions, terminal: Terminal): Promise<number> => {
  const { event, disabled } = options;
  if (!event) throw new UsageError("Say of what, by --event: a type such as command.completed, or 'command.*'.");
  return withClient(options, terminal, async (client) => {
    const terms = { ...termsOf(options), ...(disabled ? { enabled: false } : {}) };
    return tell(await client.createWebhook({ url, events: event, ...terms }), options, terminal);
  });
};

export const listWebhooks = (options: WebhookOptions, terminal: Terminal): Promise<number> =>
  withClient(options, terminal, async (client) => {
    const found: Webhook[] = [];
    for await (const webhook of client.listWebhooks()) found.push(webhook);
    if (options.json) return writeAll(found, terminal);
    const rows = found.map((one) => [one.id, stateOf(one), String(one.waiting), one.events.join(' '), plain(one.url)]);
    await write(
      terminal.stdout,
      table(
        ['ID', 'STATE', 'WAITING', 'EVENTS', 'URL'],
        rows.map((row) => row.map(plain)),
        terminal.stdout.columns,
      ),
    );
    return 0;
  });

export const showWebhook = (id: string, options: WebhookOptions, terminal: Terminal): Promise<number> =>
  withClient(options, terminal, async (client) => show(await client.getWebhook(id), options, terminal));

/** What is not given stays as it is. */
export const updateWebhook = (id: string, options: UpdateOptions, terminal: Terminal): Promise<number> => {
  const { to, event, enable, disable, sendMissed, onVersion } = options;
  if (enable && disable) throw new UsageError('Give --enable or --disable, not both.');
  if (sendMissed && !enable) throw new UsageError('--send-missed goes with --enable.');
  const changes = {
    ...termsOf(options),
    ...(to === undefined ? {} : { url: to }),
    ...(event ? { events: event } : {}),
    ...(enable || disable ? { enabled: enable === true } : {}),
    ...(sendMissed ? { missed: 'send' as const } : {}),
    ...(onVersion === undefined ? {} : { onVersion }),
  };
  return withClient(options, terminal, async (client) =>
    show(await client.changeWebhook(id, changes), options, terminal),
  );
};

/** Removes them, one after the other. */
export const deleteWebhooks = (ids: readonly string[], options: WebhookOptions, terminal: Terminal): Promise<number> =>
  withClient(options, terminal, async (client) => {
    for (const id of ids) await client.removeWebhook(id);
    return 0;
  });

/** Makes a new secret: its text alone on stdout, what it is of on stderr. */
export const rotateWebhook = (
  id: string,
  options: WebhookOptions & { readonly overlap?: number },
  terminal: Terminal,
): Promise<number> =>
  withClient(options, terminal, async (client) => {
    const terms = options.overlap === undefined ? {} : { overlapSeconds: options.overlap };
    return tell(await client.rotateWebhook(id, terms), options, terminal);
  });

export const listWebhookDeliveries = (id: string, options: DeliveriesOptions, terminal: Terminal): Promise<number> =>
  withClient(options, terminal, async (client) => {
    const { status, limit = DEFAULT_LIMIT } = options;
    const found: Delivery[] = [];
    for await (const delivery of client.listWebhookDeliveries(id, { status })) {
      if (found.push(delivery) === limit) break;
    }
    if (options.json) return writeAll(found, terminal);
    const rows = found.map(({ sequence, type, status: is, tries, lastTry, nextTryAt, subject }) => [
      ...[String(sequence), type, is, String(tries)],
      lastTry ? `${answerOf(lastTry)}, ${ago(lastTry.at)}` : '-',
      nextTryAt === null ? '-' : until(nextTryAt),
      plain(subject),
    ]);
    const head = ['EVENT', 'TYPE', 'STATUS', 'TRIES', 'LAST TRY', 'NEXT', 'SUBJECT'];
    await write(terminal.stdout, table(head, rows, terminal.stdout.columns));
    return 0;
  });

/** Sends one again, or all that were given up. */
export const redeliver = (
  id: string,
  sequence: number | undefined,
  options: WebhookOptions & { readonly dead?: boolean },
  terminal: Terminal,
): Promise<number> => {
  if ((sequence === undefined) === !options.dead) throw new UsageError('Give the number of an event, or --dead.');
  return withClient(options, terminal, async (client) => {
    const answer = await client.redeliver(id, sequence === undefined ? { status: 'dead' } : { sequence });
    const { redelivering, left } = answer;
    const more = left > 0 ? `; ${left} more did not fit: ask again once some are through` : '';
    await write(terminal.stdout, `${options.json ? JSON.stringify(answer) : `sending ${redelivering} again${more}`}\n`);
    return 0;
  });
};

/** Sends a ping. */
export const testWebhook = (id: string, options: WebhookOptions, terminal: Terminal): Promise<number> =>
  withClient(options, terminal, async (client) => {
    const answer = await client.testWebhook(id);
    const { delivered, try: attempt } = answer;
    const text = `${delivered ? 'taken' : 'not taken'}: ${answerOf(attempt)}, after ${attempt.durationMs} ms`;
    await write(terminal.stdout, `${options.json ? JSON.stringify(answer) : text}\n`);
    return delivered ? 0 : NOT_TAKEN;
  });

const withClient = (
  options: ConnectOptions,
  terminal: Terminal,
  use: (client: Client) => Promise<number>,
): Promise<number> => withConnection({ ...options, work: false }, terminal, ({ client }) => use(client));

const termsOf = ({ label, description }: ToldOptions) => ({
  ...(label ? { labels: label } : {}),
  ...(description === undefined ? {} : { description }),
});

const tell = async (made: NewWebhook, options: WebhookOptions, terminal: Terminal): Promise<number> => {
  await write(terminal.stdout, options.json ? `${JSON.stringify(made)}\n` : `${made.secret}\n`);
  if (!options.json) say(terminal, `${made.id}: verify messages with this secret; it is not shown again`);
  return 0;
};

const writeAll = async (all: readonly unknown[], terminal: Terminal): Promise<number> => {
  for (const one of all) await write(terminal.stdout, `${JSON.stringify(one)}\n`);
  return 0;
};

const show = async (webhook: Webhook, options: WebhookOptions, terminal: Terminal): Promise<number> => {
  await write(terminal.stdout, options.json ? `${JSON.stringify(webhook)}\n` : toText(webhook));
  return 0;
};

const stateOf = ({ enabled, disabled, failingSince }: Webhook): string => {
  if (!enabled) return disabled ? `disabled: ${disabled.reason}` : 'disabled';
  return failingSince === null ? 'good' : `failing since ${ago(failingSince)}`;
};

const answerOf = ({ statusCode, fault }: NonNullable<Delivery['lastTry']>): string =>
  statusCode === null ? (fault ?? '-') : String(statusCode);

const toText = (webhook: Webhook): string => {
  const { id, url, events, labels, description, version, member, secrets, waiting, nextTryAt, deliveredAt } = webhook;
  const labelled = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  const facts: readonly (readonly [string, string])[] = [
    ['id', id],
    ['url', url],
    ['events', events.join(' ')],
    ['labels', labelled.join(' ') || '-'],
    ['description', description || '-'],
    ['state', stateOf(webhook)],
    ['waiting', nextTryAt === null ? String(waiting) : `${waiting}, next try ${until(nextTryAt)}`],
    ['delivered', deliveredAt === null ? '-' : ago(deliveredAt)],
    ['secrets', String(secrets.length)],
    ['member', member],
    ['version', String(version)],
  ];
  const width = Math.max(...facts.map(([label]) => label.length));
  return facts.map(([label, value]) => `${label.padEnd(width)}  ${plain(value)}\n`).join('');
};
