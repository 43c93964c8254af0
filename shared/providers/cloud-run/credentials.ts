import { type AuthClient, AwsClient, GoogleAuth, OAuth2Client } from 'google-auth-library';
import type { ProviderContext } from '../context.ts';
import type { CloudRunConfig } from './config.ts';

const SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];
const TOKEN_URL = 'https://sts.googleapis.com/v1/token';

/**
 * Signs in without a key: from AWS by workload identity federation, which trades a signed AWS request for a token
 * (https://cloud.google.com/iam/docs/workload-identity-federation-with-other-clouds); elsewhere with what the machine has.
 */
export const makeAuth = (config: CloudRunConfig, context: ProviderContext): GoogleAuth => {
  if (config.endpoint !== undefined) return new GoogleAuth({ authClient: trialClient() as never });
  if (!config.workloadIdentity) return new GoogleAuth({ scopes: SCOPES });
  return new GoogleAuth({ authClient: federatedClient(config.workloadIdentity, context) as never, scopes: SCOPES });
};

/** Whatever stands at a loopback address is shown a word that is nobody's. */
const trialClient = (): AuthClient => {
  const client = new OAuth2Client();
  client.setCredentials({ access_token: 'local-trial', expiry_date: 8.64e15 });
  return client;
};

export const federatedClient = (
  { audience, serviceAccount }: NonNullable<CloudRunConfig['workloadIdentity']>,
  { awsCredentials, awsRegion }: ProviderContext,
  tokenUrl = TOKEN_URL,
  iamUrl = 'https://iamcredentials.googleapis.com',
): AuthClient => {
  if (!awsCredentials || !awsRegion) {
    throw new Error(
      'The target’s workloadIdentity signs in from AWS, and this process is not there. Remove it, or run in AWS.',
    );
  }
  const impersonation = `${iamUrl}/v1/projects/-/serviceAccounts/${serviceAccount}:generateAccessToken`;
  return new AwsClient({
    type: 'external_account',
    audience,
    subject_token_type: 'urn:ietf:params:aws:token-type:aws4_request',
    token_url: tokenUrl,
    scopes: SCOPES,
    ...(serviceAccount === undefined ? {} : { service_account_impersonation_url: impersonation }),
    aws_security_credentials_supplier: {
      getAwsRegion: async () => awsRegion,
      getAwsSecurityCredentials: async () => {
        const { accessKeyId, secretAccessKey, sessionToken } = await awsCredentials();
        return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { token: sessionToken }) };
      },
    },
  });
};
