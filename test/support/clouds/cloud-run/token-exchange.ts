import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';

interface AwsIdentity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

interface ExchangeOptions {
  readonly audience: string;
  /** Who may come in from AWS. */
  readonly identity: AwsIdentity;
  /** Which account may be acted as. */
  readonly serviceAccount: string;
}

/** Google's Security Token Service and IAM Credentials, as far as workload identity federation from AWS needs them. */
export interface TokenExchange {
  readonly sts: string;
  readonly iam: string;
  /** Tokens that were given out, by what they are for. */
  readonly federated: readonly string[];
  readonly impersonated: readonly string[];
  /** What the next requests are answered with instead. */
  readonly fail: (number | 'hang')[];
}

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';

export const startTokenExchange = async (options: ExchangeOptions): Promise<TokenExchange> => {
  const federated: string[] = [];
  const impersonated: string[] = [];
  const fail: (number | 'hang')[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const failure = fail.shift();
    if (failure === 'hang') return;
    if (failure !== undefined) return reply(response, failure, { error: 'unavailable', error_description: 'injected' });
    if (request.url === '/v1/token') return exchange(response, body);
    return impersonate(request, response, body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  /** https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token */
  const exchange = (response: ServerResponse, body: string): void => {
    const form = new URLSearchParams(body);
    const wrong = formFault(form, options) ?? signatureFault(form.get('subject_token') ?? '', options);
    if (wrong !== undefined) {
      reply(response, 400, { error: 'invalid_grant', error_description: wrong });
      return;
    }
    const token = `federated-${randomBytes(8).toString('hex')}`;
    federated.push(token);
    reply(response, 200, {
      access_token: token,
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: 3_600,
    });
  };

  /** https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken */
  const impersonate = ({ url, headers }: IncomingMessage, response: ServerResponse, body: string): void => {
    const path = `/v1/projects/-/serviceAccounts/${options.serviceAccount}:generateAccessToken`;
    const isKnown = federated.some((token) => headers.authorization === `Bearer ${token}`);
    const { scope } = JSON.parse(body) as { scope?: string[] };
    const isAllowed = url === path && scope?.join() === SCOPE;
    if (!isKnown || !isAllowed) {
      reply(response, isKnown ? 403 : 401, { error: { code: isKnown ? 403 : 401, message: 'Refused.' } });
      return;
    }
    const token = `impersonated-${randomBytes(8).toString('hex')}`;
    impersonated.push(token);
    reply(response, 200, { accessToken: token, expireTime: new Date(Date.now() + 3_600_000).toISOString() });
  };

  const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { sts: at, iam: at, federated, impersonated, fail };
};

const reply = (response: ServerResponse, status: number, body: object): void =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

const formFault = (form: URLSearchParams, { audience }: ExchangeOptions): string | undefined => {
  const expected = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    audience,
    scope: SCOPE,
    requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    subject_token_type: 'urn:ietf:params:aws:token-type:aws4_request',
  };
  for (const [name, value] of Object.entries(expected)) if (form.get(name) !== value) return `Invalid ${name}`;
  return undefined;
};

/** Does with the signed request what AWS does when Google sends it there: computes the signature, and compares. */
const signatureFault = (token: string, { audience, identity }: ExchangeOptions): string | undefined => {
  const { url, method, headers } = JSON.parse(decodeURIComponent(token)) as {
    url: string;
    method: string;
    headers: { key: string; value: string }[];
  };
  const values = new Map(headers.map(({ key, value }) => [key.toLowerCase(), value]));
  if (values.get('x-goog-cloud-target-resource') !== audience) return 'The token is for another audience';
  if (values.get('x-amz-security-token') !== identity.sessionToken) return 'The session is not known';
  const authorization = values.get('authorization') ?? '';
  const [, key, scope = '', signed = '', signature] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), ?SignedHeaders=([^,]+), ?Signature=(\w+)$/.exec(authorization) ??
    [];
  if (key !== identity.accessKeyId) return 'The access key is not known';
  const { host, pathname, searchParams } = new URL(url);
  if (!/^sts\.[a-z0-9-]+\.amazonaws\.com$/.test(host) || searchParams.get('Action') !== 'GetCallerIdentity') {
    return 'It is not a request for the identity of the caller';
  }
  const canonical = [
    method,
    pathname,
    searchParams.toString(),
    ...signed.split(';').map((name) => `${name}:${values.get(name)}`),
    '',
    signed,
    sha256(''),
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', values.get('x-amz-date'), scope, sha256(canonical)].join('\n');
  let signing: Buffer = Buffer.from(`AWS4${identity.secretAccessKey}`);
  for (const part of scope.split('/')) signing = createHmac('sha256', signing).update(part).digest();
  const right = createHmac('sha256', signing).update(toSign).digest('hex');
  return signature === right ? undefined : 'The signature does not match';
};

const sha256 = (value: string): string => createHash('sha256').update(value).digest('hex');
