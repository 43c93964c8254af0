import type { ClientAssertionCredentialOptions, TokenCredential } from '@azure/identity';
import type { Instant } from '../../domain/clock.ts';
import type { ProviderContext } from '../context.ts';
import type { ContainerInstancesConfig } from './config.ts';

/** What Entra wants to be named in tokens that are traded for its own. */
const AUDIENCE = 'api://AzureADTokenExchange';
const ASSERTION_SECONDS = 300;
const CALL_MS = 5_000;

/** This process could not show who it is, so that nothing was asked of Azure. */
export class SignInError extends Error {
  override readonly name = 'SignInError';
  readonly retryable: boolean;

  constructor(message: string, { retryable, cause }: { retryable: boolean; cause?: unknown }) {
    super(message, { cause });
    this.retryable = retryable;
  }
}

type SignInContext = Pick<ProviderContext, 'awsCredentials' | 'awsRegion' | 'clock'>;

/** Where the services stand, when not at their own addresses. */
export interface FederationPlaces {
  readonly stsEndpoint?: string;
  readonly entra?: ClientAssertionCredentialOptions;
}

/** Signs in without a key: from AWS by a token that AWS signs and Entra trusts; elsewhere with what the machine has. */
export const makeCredential = async (
  config: ContainerInstancesConfig,
  context: ProviderContext,
): Promise<TokenCredential> => {
  if (config.endpoint !== undefined) return trialCredential;
  if (config.identity) return federatedCredential(config.identity, context);
  const { DefaultAzureCredential } = await import('@azure/identity');
  return explained(new DefaultAzureCredential({ retryOptions: { maxRetries: 0 } }));
};

/** Whatever stands at a loopback address is shown a word that is nobody's. */
const trialCredential: TokenCredential = {
  getToken: async () => ({ token: 'local-trial', expiresOnTimestamp: 8.64e15 }),
};

export const federatedCredential = async (
  { tenantId, clientId }: NonNullable<ContainerInstancesConfig['identity']>,
  context: SignInContext,
  { stsEndpoint, entra = {} }: FederationPlaces = {},
): Promise<TokenCredential> => {
  const assertion = await makeAssertion(context, stsEndpoint);
  const { ClientAssertionCredential } = await import('@azure/identity');
  const options = { retryOptions: { maxRetries: 0 }, ...entra };
  return explained(new ClientAssertionCredential(tenantId, clientId, assertion, options));
};

/** Makes a function that resolves with a short-lived token, signed by AWS, that says which role this process has. */
const makeAssertion = async (
  { awsCredentials, awsRegion, clock }: SignInContext,
  endpoint: string | undefined,
): Promise<() => Promise<string>> => {
  if (!awsCredentials || !awsRegion) {
    throw new Error(
      'The target’s identity signs in from AWS, and this process is not there. Remove it, or run in AWS.',
    );
  }
  const { STSClient, GetWebIdentityTokenCommand } = await import('@aws-sdk/client-sts');
  const sts = new STSClient({
    // The global endpoint does not know this operation.
    region: awsRegion,
    credentials: awsCredentials,
    maxAttempts: 2,
    requestHandler: { connectionTimeout: 2_000, requestTimeout: CALL_MS, throwOnRequestTimeout: true },
    ...(endpoint === undefined ? {} : { endpoint }),
  });
  const ask = async (): Promise<string> => {
    const input = { Audience: [AUDIENCE], SigningAlgorithm: 'RS256', DurationSeconds: ASSERTION_SECONDS };
    const { WebIdentityToken: token } = await sts.send(new GetWebIdentityTokenCommand(input)).catch(refused);
    if (!token) throw new SignInError('AWS gave no web identity token.', { retryable: true });
    return token;
  };
  let last: { readonly token: string; readonly goodUntil: Instant } | undefined;
  return async () => {
    // The credential asks twice each time, even for a token of Entra that it has already.
    if (last && clock.now() < last.goodUntil) return last.token;
    const token = await ask();
    last = { token, goodUntil: clock.now() + ASSERTION_SECONDS * 500 };
    return token;
  };
};

const STS_REFUSALS: Readonly<Record<string, string>> = {
  OutboundWebIdentityFederationDisabledException:
    'The AWS account signs no web identity tokens. Enable it once, with iam:EnableOutboundWebIdentityFederation.',
  AccessDenied: 'This process may not call sts:GetWebIdentityToken. Give its role the right.',
  ExpiredTokenException: 'The AWS credentials of this process have expired.',
};

const refused = (cause: unknown): never => {
  const words = STS_REFUSALS[String((cause as { name?: unknown }).name)];
  const retryable = words === undefined;
  throw new SignInError(words ?? 'AWS gives no web identity token now. It is tried again.', { retryable, cause });
};

/** Every failure to sign in as a SignInError: what Entra says has ids in it, and is for the log. */
const explained = (credential: TokenCredential): TokenCredential => ({
  async getToken(scopes, options) {
    try {
      return await credential.getToken(scopes, options);
    } catch (cause) {
      const chain = causesOf(cause);
      const own = chain.find((error) => error instanceof SignInError);
      if (own) throw own;
      const status = Number(
        chain.map(({ statusCode, status }) => statusCode ?? status).find((one) => one !== undefined),
      );
      const isRefusal = status >= 400 && status < 500 && status !== 429;
      const words = isRefusal
        ? 'Entra does not take what this process shows. Look at the application’s federated credential: issuer, subject, audience.'
        : 'This process cannot sign in to Azure now. Look at the target’s identity, or sign in on this machine.';
      throw new SignInError(words, { retryable: !isRefusal, cause });
    }
  },
});

interface Thrown extends Error {
  readonly statusCode?: unknown;
  readonly status?: unknown;
}

const causesOf = (error: unknown): readonly Thrown[] =>
  error instanceof Error ? [error, ...causesOf(error.cause)] : [];
