import { type Delivered, isNameable } from '../domain/placeholders.ts';
import type { Signature } from '../domain/triggers.ts';
import type { Signed } from './signatures.ts';

/** Its content type says what it is, and it is not. */
export class UnreadableBody extends Error {
  override readonly name = 'UnreadableBody';
}

/**
 * What can be named of a request: JSON, a form's fields, or bytes alone. GitHub's forms hold the JSON in their field `payload`.
 * @throws UnreadableBody
 */
export const readDelivery = (signature: Signature, { headers, body: raw }: Signed, delivery?: string): Delivered => {
  const body = readBody(signature, headers['content-type'] ?? '', raw);
  const nameable = Object.entries(headers).filter(
    ([name]) => isNameable(name) && !(signature.kind === 'shared-token' && name === signature.header),
  );
  return { body, headers: Object.fromEntries(nameable), event: eventOf(signature, headers, body), delivery, raw };
};

const readBody = ({ kind }: Signature, type: string, raw: Uint8Array): unknown => {
  if (/^application\/([a-z0-9.-]+\+)?json\s*(;|$)/i.test(type)) return parseJson(decode(raw));
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type)) return undefined;
  const form = new URLSearchParams(decode(raw));
  const payload = form.get('payload');
  if (kind === 'github' && payload !== null) return parseJson(payload);
  const names = [...new Set(form.keys())];
  return Object.fromEntries(
    names.map((name) => {
      const values = form.getAll(name);
      return [name, values.length > 1 ? values : values[0]];
    }),
  );
};

const decode = (raw: Uint8Array): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(raw);
  } catch {
    throw new UnreadableBody('The body is not text in UTF-8.');
  }
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    // Not the parser's own words: they quote the body.
    throw new UnreadableBody('The body is not JSON.');
  }
};

const eventOf = ({ kind }: Signature, headers: Signed['headers'], body: unknown): string | undefined => {
  if (kind === 'github') return headers['x-github-event'];
  if (kind !== 'standard-webhooks' || typeof body !== 'object' || body === null) return undefined;
  // https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#payload-structure
  const { type } = body as { readonly type?: unknown };
  return typeof type === 'string' ? type : undefined;
};
