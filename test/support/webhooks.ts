import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseSecretText, sign } from '../../shared/webhooks/standard-webhooks.ts';

/** As in https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries */
export const GITHUB_SECRET = "It's a Secret to Everybody";

/** A push as GitHub sends it, abridged. Its signature was made by `openssl dgst -sha256 -hmac "$GITHUB_SECRET" github-push.payload`. */
export const GITHUB_PUSH = {
  body: readFileSync(new URL('./webhooks/github-push.payload', import.meta.url)),
  signature: 'sha256=cf2b0f93e74f330aa20df1596787d8462987cee789a15a57c4e84cad5ae04abe',
  after: '59b20b8d5c6ff8d09518216e87bd6a0d4f1d7ae0',
  message: 'Say "hi"; don\'t $(touch /tmp/owned) — fix #1\n\nCo-authored-by: Ünïcödé <u@example.com>',
};

/** What GitHub sends along. */
export const githubHeaders = (
  body: Uint8Array,
  over: Record<string, string> = {},
  secret = GITHUB_SECRET,
): Record<string, string> => ({
  'content-type': 'application/json',
  'user-agent': 'GitHub-Hookshot/044aadd',
  'x-github-event': 'push',
  'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
  'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
  ...over,
});

/** What a sender of Standard Webhooks sends along. */
export const standardHeaders = (
  secret: string,
  body: Uint8Array,
  { id = 'msg_1', at = Date.now() }: { readonly id?: string; readonly at?: number } = {},
): Record<string, string> => {
  const timestampSeconds = Math.floor(at / 1_000);
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': sign(parseSecretText(secret) as Uint8Array, { id, timestampSeconds, body }),
  };
};
