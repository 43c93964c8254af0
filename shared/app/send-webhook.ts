import { createHash } from 'node:crypto';
import type { Instant } from '../domain/clock.ts';
import type { Attempt, KeptKey, Webhook } from '../domain/webhooks.ts';
import { EgressError } from '../egress/egress.ts';
import { sign } from '../webhooks/standard-webhooks.ts';
import type { Deps } from './deps.ts';

type Parts = Pick<Deps, 'clock' | 'egress' | 'signingKeys'>;

/** A CloudEvent that goes out; its message's id is made of what never changes about it. */
export interface Outgoing {
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly sequence: number;
}

export interface Sent {
  readonly attempt: Attempt;
  readonly retryAfterSeconds?: number;
}

/**
 * Sends one event to a webhook, once, signed as Standard Webhooks by each key that is good now. The body is the event as JSON
 * (CloudEvents 1.0.2, JSON format, structured mode). Of the answer only the status counts.
 * @throws AppError 'unavailable' when the vault is; whatever aborts `signal`
 */
export const sendWebhook = async (
  { clock, egress, signingKeys }: Parts,
  webhook: Webhook,
  event: Outgoing,
  signal?: AbortSignal,
): Promise<Sent> => {
  const at = clock.now();
  const failed = (fault: string): Sent => ({ attempt: { at, durationMs: clock.now() - at, fault } });
  const keys = await signingKeys.read(webhook.tenant, webhook.id, goodKeys(webhook, at));
  if (!keys) return failed('no-secret');
  const id = messageIdOf(webhook, event);
  const timestampSeconds = Math.floor(at / 1_000);
  const body = Buffer.from(JSON.stringify(event));
  try {
    const { status, headers } = await egress.send({
      url: webhook.url,
      method: 'POST',
      headers: {
        'content-type': 'application/cloudevents+json; charset=utf-8',
        'user-agent': 'errand-webhooks/1',
        'webhook-id': id,
        'webhook-timestamp': String(timestampSeconds),
        'webhook-signature': keys.map((key) => sign(key, { id, timestampSeconds, body })).join(' '),
      },
      body,
      reads: 'head',
      ...(signal ? { signal } : {}),
    });
    const attempt = { at, durationMs: clock.now() - at, statusCode: status };
    const retryAfterSeconds = parseRetryAfter(headers['retry-after'], clock.now());
    return retryAfterSeconds === undefined ? { attempt } : { attempt, retryAfterSeconds };
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof EgressError) return failed(error.fault);
    throw error;
  }
};

export const goodKeys = ({ keys }: Pick<Webhook, 'keys'>, now: Instant): readonly KeptKey[] =>
  keys.filter(({ until }) => until === undefined || until > now);

/**
 * The same for each try, from any process and any release. The time tells it from an event of the same number in an installation that was
 * restored from a backup; no dot is in it, as Standard Webhooks asks.
 */
export const messageIdOf = ({ id }: Pick<Webhook, 'id'>, { type, subject, time, sequence }: Outgoing): string => {
  const digest = createHash('sha256').update(JSON.stringify([id, sequence, time, type, subject]));
  return `msg_${digest.digest('hex').slice(0, 32)}`;
};

/** All that is told of a URL: its path and query may be what lets one in there. */
export const hostOf = ({ url }: Pick<Webhook, 'url'>): string => URL.parse(url)?.host ?? '';

/** Seconds, or a date (RFC 9110, section 10.2.3); anything else says nothing. */
const parseRetryAfter = (text: string | undefined, now: Instant): number | undefined => {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - now) / 1_000));
};
