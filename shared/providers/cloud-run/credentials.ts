import { type AuthClient, AwsClient, GoogleAuth, OAuth2Client } from 'google-auth-library';
import type { ProviderContext } from '../context.ts';
import type { CloudRunConfig } from './config.ts';

const SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];
const AWS_TOKEN = 'urn:ietf:params:aws:token-type:aws4_request';

/** Where Google trades tokens; another place only in tests. */
export interface TokenEndpoints {
  readonly sts: string;
  readonly iam: string;
}
const GOOGLE: TokenEndpoints = { sts: 'https://sts.googleapis.com', iam: 'https://iamcredentials.googleapis.com' };

/** Nobody was asked for anything yet: this process could not sign in. */
export class SignInFault extends Error {
  override readonly name = 'SignInFault';
}

/** As much of GoogleAuth as the SDK's clients use over REST. */
export interface Auth {
  readonly universeDomain: string;
  getUniverseDomain(): Promise<string>;
  getClient(): Promise<{ readonly universeDomain: string }>;
  /** @throws SignInFault before anything was sent */
  fetch(url: string, init: RequestInit): Promise<unknown>;
}

/**
 * Signs in without a key: from AWS by workload identity federation, elsewhere with what Google's library finds on the
 * machine. Signing in is a step of its own, so that a start that failed in it is known not to have been sent.
 */
export const makeAuth = (config: CloudRunConfig, context: ProviderContext, endpoints = GOOGLE): Auth => {
  const universeDomain = 'googleapis.com';
  let signingIn: Promise<AuthClient> | undefined;
  const client = (): Promise<AuthClient> => {
    signingIn ??= makeClient(config, context, endpoints);
    signingIn.catch(() => (signingIn = undefined));
    return signingIn;
  };
  const signIn = async (): Promise<AuthClient> => {
    const signedIn = await client();
    await signedIn.getRequestHeaders();
    return signedIn;
  };
  return {
    universeDomain,
    getUniverseDomain: async () => universeDomain,
    getClient: async () => ({ universeDomain }),
    async fetch(url, init) {
      const signedIn = await orAborted(signIn(), init.signal).catch((cause: unknown) => {
        throw new SignInFault('This process could not sign in to Google.', { cause });
      });
      // What is not a success is thrown with its headers, of which the client would keep none.
      return signedIn.fetch(url, { ...init, validateStatus: (status: number) => status < 300 } as RequestInit);
    },
  };
};

/** The exchange of tokens has no deadline of its own. */
const orAborted = async <T>(value: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> => {
  if (!signal) return value;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(new Error('It took too long.'));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  // Nobody waits for the one that comes second.
  value.catch(() => {});
  try {
    return await Promise.race([value, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
};

const makeClient = async (
  { endpoint, workloadIdentity }: CloudRunConfig,
  context: ProviderContext,
  endpoints: TokenEndpoints,
): Promise<AuthClient> => {
  if (endpoint !== undefined) return trialClient();
  if (workloadIdentity) return federatedClient(workloadIdentity, context, endpoints);
  return new GoogleAuth({ scopes: SCOPES }).getClient();
};

/** Whatever stands at a loopback address is shown a word that is nobody's. */
const trialClient = (): AuthClient => {
  const client = new OAuth2Client();
  client.setCredentials({ access_token: 'local-trial' });
  return client;
};

/** A signed request to AWS, which Google sends there to learn who signed it, is traded for a token of an hour. */
const federatedClient = (
  { audience, serviceAccountEmail }: NonNullable<CloudRunConfig['workloadIdentity']>,
  { awsCredentials, awsRegion }: ProviderContext,
  { sts, iam }: TokenEndpoints,
): AuthClient => {
  if (!awsCredentials || !awsRegion)
    throw new Error('workloadIdentity signs in from AWS, and this process is not there.');
  const actAs = `${iam}/v1/projects/-/serviceAccounts/${serviceAccountEmail}:generateAccessToken`;
  return new AwsClient({
    type: 'external_account',
    audience,
    subject_token_type: AWS_TOKEN,
    token_url: `${sts}/v1/token`,
    scopes: SCOPES,
    ...(serviceAccountEmail === undefined ? {} : { service_account_impersonation_url: actAs }),
    aws_security_credentials_supplier: {
      getAwsRegion: async () => awsRegion,
      getAwsSecurityCredentials: async () => {
        const { accessKeyId, secretAccessKey, sessionToken } = await awsCredentials();
        return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { token: sessionToken }) };
      },
    },
  });
};
