import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { federatedClient } from '../../shared/providers/cloud-run/credentials.ts';
import type { ProviderContext } from '../../shared/providers/context.ts';
import { silentLog } from '../../shared/telemetry/log.ts';

const AUDIENCE = '//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/aws';
const ACCOUNT = 'dispatcher@a-project.iam.gserviceaccount.com';

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
    sessionToken: 'session',
  }),
};

/** Google's token service and its IAM credentials API, as far as federation asks them. */
const google = async () => {
  const asked: { path: string; body: string; authorization: string | undefined }[] = [];
  const server = createServer(async (request, response) => {
    const path = request.url ?? '';
    asked.push({ path, body: await text(request), authorization: request.headers.authorization });
    const json = (value: object) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (path === '/v1/token') {
      return json({
        access_token: 'federated',
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: 3_600,
      });
    }
    return json({ accessToken: 'impersonated', expireTime: new Date(Date.now() + 3_600_000).toISOString() });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
};

test.for<[string, { serviceAccount?: string }, string]>([
  ['as itself', {}, 'federated'],
  ['as a service account', { serviceAccount: ACCOUNT }, 'impersonated'],
])('signs in from AWS without a key, %s', async ([, own, token]) => {
  const { url, asked } = await google();
  const client = federatedClient({ audience: AUDIENCE, ...own }, inAws, `${url}/v1/token`, url);
  expect((await client.getAccessToken()).token).toBe(token);
  const form = new URLSearchParams(asked[0]?.body);
  expect(form.get('audience')).toBe(AUDIENCE);
  const signed = JSON.parse(decodeURIComponent(form.get('subject_token') ?? ''));
  // A request of ours to AWS, signed for this audience alone: Google sends it, and learns who signed.
  expect(signed.url).toContain('https://sts.eu-central-1.amazonaws.com?Action=GetCallerIdentity');
  expect(signed.headers).toContainEqual({ key: 'x-goog-cloud-target-resource', value: AUDIENCE });
  expect(JSON.stringify(asked)).not.toContain('never-to-be-sent');
  if (own.serviceAccount) {
    expect(asked[1]).toMatchObject({
      path: `/v1/projects/-/serviceAccounts/${ACCOUNT}:generateAccessToken`,
      authorization: 'Bearer federated',
    });
  }
});

test('says what to do where there is no AWS to sign in from', () => {
  const { awsCredentials: _, ...elsewhere } = inAws;
  expect(() => federatedClient({ audience: AUDIENCE }, elsewhere)).toThrow('Remove it, or run in AWS');
});
