import type { ProviderContext } from '../context.ts';
import type { ContainerInstancesConfig } from './config.ts';

/** What the Azure client signs its requests with. */
export interface Credential {
  getToken(scopes: string | string[]): Promise<{ token: string; expiresOnTimestamp: number } | null>;
}

/** The audience that Entra takes assertions for (https://learn.microsoft.com/entra/workload-id/workload-identity-federation). */
const AUDIENCE = 'api://AzureADTokenExchange';
const ASSERTION_SECONDS = 300;

/**
 * Signs in without a key: from AWS with a token that AWS makes of the function's role, which Entra was told to trust;
 * elsewhere with what the machine has.
 */
export const makeCredential = async (
  { endpoint, identity }: ContainerInstancesConfig,
  context: ProviderContext,
): Promise<Credential> => {
  // Whatever stands at a loopback address is shown a word that is nobody's.
  if (endpoint !== undefined) return { getToken: async () => ({ token: 'local-trial', expiresOnTimestamp: 8.64e15 }) };
  const { ClientAssertionCredential, DefaultAzureCredential } = await import('@azure/identity');
  if (!identity) return new DefaultAzureCredential();
  return new ClientAssertionCredential(identity.tenantId, identity.clientId, () => webIdentityToken(context));
};

/**
 * A token that says which role this is (https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html).
 * Not to be had from the global endpoint, and only once the account has switched it on.
 */
export const webIdentityToken = async (
  { awsRegion, awsCredentials }: ProviderContext,
  endpoint?: string,
): Promise<string> => {
  if (!awsRegion || !awsCredentials) {
    throw new Error(
      'The target’s identity signs in from AWS, and this process is not there. Remove it, or run in AWS.',
    );
  }
  const { GetWebIdentityTokenCommand, STSClient } = await import('@aws-sdk/client-sts');
  const client = new STSClient({
    region: awsRegion,
    credentials: awsCredentials,
    ...(endpoint === undefined ? {} : { endpoint }),
    requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
  });
  try {
    const { WebIdentityToken } = await client.send(
      new GetWebIdentityTokenCommand({
        Audience: [AUDIENCE],
        SigningAlgorithm: 'RS256',
        DurationSeconds: ASSERTION_SECONDS,
      }),
    );
    if (!WebIdentityToken) throw new Error('AWS gave no web identity token.');
    return WebIdentityToken;
  } finally {
    client.destroy();
  }
};
