import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { azureContainerInstances } from '../../shared/providers/azure-container-instances/azure-container-instances.ts';
import { ContainerInstancesConfig } from '../../shared/providers/azure-container-instances/config.ts';
import { federatedCredential, makeCredential } from '../../shared/providers/azure-container-instances/credentials.ts';
import { toFault } from '../../shared/providers/azure-container-instances/faults.ts';
import type { ProviderContext } from '../../shared/providers/context.ts';
import { silentLog } from '../../shared/telemetry/log.ts';

const TENANT = '11111111-1111-1111-1111-111111111111';
const CLIENT = '22222222-2222-2222-2222-222222222222';
const SCOPE = 'https://management.azure.com/.default';
const SECRETS = ['never-to-be-sent', 'a-session-token', 'signed-by-aws'];

const inAws: ProviderContext = {
  clock: systemClock,
  random: systemRandom,
  log: silentLog,
  installation: 'errand',
  runnerUrl: 'https://runner.example',
  awsRegion: 'eu-central-1',
  awsCredentials: async () => ({
    accessKeyId: 'ASIATHEFUNCTION00000',
    secretAccessKey: 'never-to-be-sent',
    sessionToken: 'a-session-token',
  }),
};

interface Model {
  readonly operations: { readonly GetWebIdentityToken: { readonly output: { readonly resultWrapper: string } } };
  readonly metadata: { readonly apiVersion: string; readonly xmlNamespace: string };
  readonly shapes: {
    readonly GetWebIdentityTokenRequest: { readonly members: object; readonly required: readonly string[] };
  };
}
const fixture = new URL(
  '../support/clouds/azure-container-instances/fixtures/sts.GetWebIdentityToken.subset.json',
  import.meta.url,
);
const model: Model = JSON.parse(readFileSync(fixture, 'utf8'));

type Answer = { readonly status: number; readonly body: string };
interface Asked {
  readonly path: string;
  readonly form: URLSearchParams;
  readonly headers: Readonly<Record<string, unknown>>;
}

const serve = async (answer: (asked: Asked) => Answer, type: string) => {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const one = { path: request.url ?? '', form: new URLSearchParams(await text(request)), headers: request.headers };
    asked.push(one);
    const { status, body } = answer(one);
    response.writeHead(status, { 'content-type': type }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, asked };
};

/** STS's query protocol, by AWS's own description of it. */
const stsAnswer = ({ form }: Asked): Answer => {
  const { resultWrapper } = model.operations.GetWebIdentityToken.output;
  const names = new Set([...form.keys()].map((key) => key.split('.')[0]));
  const { members, required } = model.shapes.GetWebIdentityTokenRequest;
  const isKnown = [...names].every(
    (name) => name === 'Action' || name === 'Version' || Object.keys(members).includes(name ?? ''),
  );
  if (!isKnown || !required.every((name) => names.has(name)) || form.get('Version') !== model.metadata.apiVersion) {
    return stsError(400, 'ValidationError');
  }
  const result = `<WebIdentityToken>signed-by-aws</WebIdentityToken><Expiration>2030-01-01T00:05:00Z</Expiration>`;
  const body = `<GetWebIdentityTokenResponse xmlns="${model.metadata.xmlNamespace}"><${resultWrapper}>${result}</${resultWrapper}></GetWebIdentityTokenResponse>`;
  return { status: 200, body };
};

const stsError = (status: number, code: string): Answer => ({
  status,
  body: `<ErrorResponse xmlns="${model.metadata.xmlNamespace}"><Error><Type>Sender</Type><Code>${code}</Code><Message>${code} of role/secret-name</Message></Error><RequestId>1</RequestId></ErrorResponse>`,
});

const entraAnswer = (asked: Asked): Answer =>
  asked.path.includes('/.well-known/')
    ? {
        status: 200,
        body: JSON.stringify({
          token_endpoint: `https://${asked.headers['host']}/${TENANT}/oauth2/v2.0/token`,
          authorization_endpoint: `https://${asked.headers['host']}/${TENANT}/oauth2/v2.0/authorize`,
          issuer: `https://${asked.headers['host']}/${TENANT}/v2.0`,
          jwks_uri: `https://${asked.headers['host']}/${TENANT}/discovery/v2.0/keys`,
        }),
      }
    : { status: 200, body: JSON.stringify({ token_type: 'Bearer', expires_in: 3_599, access_token: 'of-entra' }) };

const open = async ({ sts: answerOfSts = stsAnswer, entra: answerOfEntra = entraAnswer } = {}) => {
  const sts = await serve(answerOfSts, 'text/xml');
  const entra = await serve(answerOfEntra, 'application/json');
  const credential = await federatedCredential({ tenantId: TENANT, clientId: CLIENT }, inAws, {
    stsEndpoint: `http://127.0.0.1:${sts.port}`,
    entra: {
      authorityHost: `https://127.0.0.1:${entra.port}`,
      disableInstanceDiscovery: true,
      // All of the client is real but TLS.
      additionalPolicies: [
        {
          position: 'perRetry',
          policy: {
            name: 'withoutTls',
            sendRequest(request, next) {
              request.url = request.url.replace(/^https:/, 'http:');
              request.allowInsecureConnection = true;
              return next(request);
            },
          },
        },
      ],
    },
  });
  return { sts, entra, credential };
};

test('signs in from AWS without a key: a token that AWS signs is traded for one of Entra', async () => {
  const { sts, entra, credential } = await open();
  expect(await credential.getToken(SCOPE)).toMatchObject({ token: 'of-entra' });
  expect(Object.fromEntries(sts.asked[0]?.form ?? [])).toEqual({
    Action: 'GetWebIdentityToken',
    Version: '2011-06-15',
    'Audience.member.1': 'api://AzureADTokenExchange',
    SigningAlgorithm: 'RS256',
    DurationSeconds: '300',
  });
  expect(sts.asked[0]?.headers['authorization']).toMatch(
    /^AWS4-HMAC-SHA256 Credential=ASIATHEFUNCTION00000\/\d+\/eu-central-1\/sts\//,
  );
  const form = Object.fromEntries(entra.asked.find(({ path }) => path.includes('/token'))?.form ?? []);
  expect(form).toMatchObject({
    client_id: CLIENT,
    scope: expect.stringContaining(SCOPE),
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: 'signed-by-aws',
  });
  expect(form).not.toHaveProperty('client_secret');
  // Entra learns what AWS signed, and nothing else of who this is in AWS.
  expect(JSON.stringify(entra.asked)).not.toContain('never-to-be-sent');
  expect(JSON.stringify(entra.asked)).not.toContain('a-session-token');
});

test('a token is used for as long as it is good', async () => {
  const { sts, entra, credential } = await open();
  for (let n = 0; n < 3; n++) await credential.getToken(SCOPE);
  expect(sts.asked).toHaveLength(1);
  expect(entra.asked.filter(({ path }) => path.includes('/token'))).toHaveLength(1);
});

const entraError = (status: number): Answer => ({
  status,
  body: JSON.stringify({
    error: 'invalid_client',
    error_description: 'AADSTS70021: No matching federated identity record found for signed-by-aws.',
  }),
});
test.for<[string, { sts?: () => Answer; entra?: (asked: Asked) => Answer }, boolean, RegExp]>([
  [
    'AWS account that signs no tokens',
    { sts: () => stsError(403, 'OutboundWebIdentityFederationDisabledException') },
    false,
    /iam:EnableOutbound/,
  ],
  ['role without the right', { sts: () => stsError(403, 'AccessDenied') }, false, /sts:GetWebIdentityToken/],
  ['STS that is busy', { sts: () => stsError(500, 'InternalFailure') }, true, /tried again/],
  [
    'STS that says nothing',
    { sts: () => ({ status: 200, body: '<GetWebIdentityTokenResponse/>' }) },
    true,
    /no web identity token/,
  ],
  [
    'application that does not trust the role',
    { entra: (asked) => (asked.path.includes('/token') ? entraError(401) : entraAnswer(asked)) },
    false,
    /federated credential/,
  ],
  ['Entra that is busy', { entra: () => ({ status: 503, body: '{}' }) }, true, /cannot sign in/],
])('an %s is told in words, without what was shown', async ([, answers, retryable, words]) => {
  const { credential } = await open(answers);
  const error = await credential.getToken(SCOPE).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  const fault = toFault(error, Date.now());
  expect(fault).toEqual({ retryable, detail: expect.stringMatching(words) });
  for (const secret of [...SECRETS, 'role/secret-name', 'AADSTS']) expect(fault?.detail).not.toContain(secret);
});

test('a process that cannot sign in starts nothing, and says so', async () => {
  const config = ContainerInstancesConfig.parse({
    subscriptionId: TENANT,
    resourceGroup: 'errand',
    location: 'westeurope',
    image: 'errand-base',
    identity: { tenantId: TENANT, clientId: CLIENT },
  });
  const { awsCredentials: _, ...elsewhere } = inAws;
  await expect(azureContainerInstances(config, elsewhere)).rejects.toThrow('Remove it, or run in AWS');
});

test('a loopback address is shown a word that is nobody’s', async () => {
  const config = ContainerInstancesConfig.parse({
    subscriptionId: TENANT,
    resourceGroup: 'errand',
    location: 'westeurope',
    image: 'errand-base',
    identity: { tenantId: TENANT, clientId: CLIENT },
    endpoint: 'http://127.0.0.1:1',
  });
  expect((await (await makeCredential(config, inAws)).getToken(SCOPE))?.token).toBe('local-trial');
});
