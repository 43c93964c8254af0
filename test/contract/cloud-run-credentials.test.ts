import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../machine/system-clock.ts';
import { makeClients, makeCloudRunCalls } from '../../shared/providers/cloud-run/calls.ts';
import { CloudRunConfig } from '../../shared/providers/cloud-run/config.ts';
import { makeAuth } from '../../shared/providers/cloud-run/credentials.ts';
import { toFault } from '../../shared/providers/cloud-run/faults.ts';
import type { ProviderContext } from '../../shared/providers/context.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { CONFIG, openCloud, PARENT } from '../support/clouds/cloud-run/open-cloud-run.ts';
import { startTokenExchange } from '../support/clouds/cloud-run/token-exchange.ts';
import { fasterClock } from '../support/faster-clock.ts';

const AUDIENCE = '//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/aws';
const ACCOUNT = 'dispatcher@errand-project.iam.gserviceaccount.com';
const IDENTITY = {
  accessKeyId: 'ASIAEXAMPLE',
  secretAccessKey: 'secret-access-key-of-the-role',
  sessionToken: 'session-token-of-the-role',
};

interface SignInOptions {
  readonly serviceAccountEmail?: string;
  readonly context?: Partial<ProviderContext>;
  readonly faster?: number;
}

/** The SDK on a Cloud Run that takes only tokens of the exchange. */
const signIn = async ({ serviceAccountEmail, context: over, faster = 1 }: SignInOptions = {}) => {
  const exchange = await startTokenExchange({ audience: AUDIENCE, identity: IDENTITY, serviceAccount: ACCOUNT });
  const tokens = serviceAccountEmail === undefined ? exchange.federated : exchange.impersonated;
  const cloud = await openCloud({ tokens });
  const context: ProviderContext = {
    clock: faster === 1 ? systemClock : fasterClock(faster),
    random: systemRandom,
    log: silentLog,
    installation: 'errand-test',
    runnerUrl: 'https://runner.example.com',
    awsRegion: 'eu-central-1',
    awsCredentials: async () => IDENTITY,
    ...over,
  };
  const workloadIdentity = {
    audience: AUDIENCE,
    ...(serviceAccountEmail === undefined ? {} : { serviceAccountEmail }),
  };
  const config = CloudRunConfig.parse({ ...CONFIG, workloadIdentity });
  const auth = makeAuth(config, context, exchange);
  const { jobs, executions, tasks } = makeClients({ ...config, endpoint: cloud.endpoint }, context, auth);
  onTestFinished(async () => {
    await Promise.all([jobs.close(), executions.close(), tasks.close()]);
  });
  const calls = makeCloudRunCalls(context);
  const list = () =>
    calls.once((options) => jobs.listJobs({ parent: PARENT, pageSize: 1 }, { ...options, autoPaginate: false }));
  return { exchange, cloud, list };
};

describe('signing in to Google from AWS', () => {
  test('a signed AWS request is traded for a token, once for many calls', async () => {
    const { exchange, cloud, list } = await signIn();
    for (let n = 0; n < 3; n++) expect((await list())[0]).toEqual([]);
    expect([exchange.federated.length, cloud.requests.get('ListJobs')]).toEqual([1, 3]);
  });

  test('and that for a token of a service account', async () => {
    const { exchange, list } = await signIn({ serviceAccountEmail: ACCOUNT });
    for (let n = 0; n < 3; n++) expect((await list())[0]).toEqual([]);
    expect([exchange.federated.length, exchange.impersonated.length]).toEqual([1, 1]);
  });

  test.for<[string, SignInOptions, readonly (number | 'hang')[]]>([
    ['AWS gives no credentials', { context: { awsCredentials: () => Promise.reject(new Error('no role')) } }, []],
    ['the secret is another', { context: { awsCredentials: async () => ({ ...IDENTITY, secretAccessKey: 'x' }) } }, []],
    ['the session is another', { context: { awsCredentials: async () => ({ ...IDENTITY, sessionToken: 'x' }) } }, []],
    ['the account may not be acted as', { serviceAccountEmail: 'other@errand-project.iam.gserviceaccount.com' }, []],
    ['Google refuses', {}, [403]],
    ['Google does not answer', { faster: 15 }, ['hang']],
  ])('when %s, Cloud Run is asked for nothing, and no secret is shown', async ([, options, failures]) => {
    const { exchange, cloud, list } = await signIn(options);
    exchange.fail.push(...failures);
    const error = await list().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    const fault = toFault(error);
    expect(fault).toMatchObject({
      retryable: true,
      detail: expect.stringMatching(/could not sign in.*workloadIdentity/),
    });
    expect(fault?.detail).not.toMatch(/secret|session-token|ASIA|Signature/);
    expect(cloud.seen).toEqual([]);
  });

  test('outside of AWS it says so', async () => {
    const { cloud, list } = await signIn({ context: { awsCredentials: undefined } as never });
    const error = await list().catch((thrown: unknown) => thrown);
    expect(toFault(error)).toMatchObject({ retryable: true, detail: expect.stringMatching(/workloadIdentity/) });
    expect(cloud.seen).toEqual([]);
  });

  test('after a failure the next call signs in', async () => {
    const { exchange, list } = await signIn();
    exchange.fail.push(403);
    await expect(list()).rejects.toThrow();
    expect((await list())[0]).toEqual([]);
  });

  test('a token that Cloud Run refuses is not the start of an endless exchange', async () => {
    const { exchange, cloud, list } = await signIn();
    cloud.faults.next('ListJobs', { kind: 'status', status: 401 });
    const error = await list().catch((thrown: unknown) => thrown);
    expect(toFault(error)).toMatchObject({
      retryable: false,
      detail: expect.stringMatching(/refuses the credentials/),
    });
    expect([exchange.federated.length, cloud.requests.get('ListJobs')]).toEqual([1, 1]);
  });
});
