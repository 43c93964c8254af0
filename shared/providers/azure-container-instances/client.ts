import { ContainerInstanceManagementClient } from '@azure/arm-containerinstance';
import { type Calls, makeCalls } from '../calls.ts';
import type { ProviderContext } from '../context.ts';
import type { ContainerInstancesConfig } from './config.ts';
import { makeCredential } from './credentials.ts';
import { statusOf, toFault } from './faults.ts';

export const makeClient = async (
  config: ContainerInstancesConfig,
  context: ProviderContext,
): Promise<ContainerInstanceManagementClient> => {
  const credential = await makeCredential(config, context);
  // By itself the client waits as long as Retry-After says, which may be longer than this process lives.
  const retryOptions = { maxRetries: 0 };
  if (config.endpoint === undefined) {
    return new ContainerInstanceManagementClient(credential, config.subscriptionId, { retryOptions });
  }
  const endpoint = config.endpoint.replace(/^http:/, 'https:').replace(/\/$/, '');
  const options = { endpoint, $host: endpoint, retryOptions };
  const client = new ContainerInstanceManagementClient(credential, config.subscriptionId, options);
  // It shows its token over TLS only. What stands at a loopback address has none, and is shown one that is nobody's.
  client.pipeline.addPolicy(
    {
      name: 'localTrial',
      sendRequest(request, next) {
        request.url = request.url.replace(/^https:/, 'http:');
        request.allowInsecureConnection = true;
        return next(request);
      },
    },
    { afterPhase: 'Sign' },
  );
  return client;
};

export interface AzureCalls extends Calls {
  /** For a request that begins something long: resolves once Azure has accepted it. */
  accepted(call: (options: BeginOptions) => Promise<unknown>): Promise<void>;
}

interface BeginOptions {
  readonly abortSignal: AbortSignal;
  readonly onResponse: (response: { readonly status: number }) => void;
}

export const makeAzureCalls = (context: Pick<ProviderContext, 'clock' | 'random'>): AzureCalls => {
  const { clock } = context;
  const calls = makeCalls(context, (error) => {
    const fault = toFault(error, clock.now());
    // Also when Azure is busy: it would be asked more, and not less.
    return fault?.retryable === false || Number(statusOf(error)) < 500;
  });
  return {
    ...calls,
    async accepted(call) {
      // By itself the client goes on to look at the operation. That stands at an address of the whole subscription, which
      // nobody may read whose role is on one resource group, and says of the provisioning what the group says too.
      const enough = new AbortController();
      const onResponse: BeginOptions['onResponse'] = ({ status }) => {
        if (status < 300) enough.abort();
      };
      try {
        await calls.once(({ signal }) => call({ abortSignal: AbortSignal.any([signal, enough.signal]), onResponse }));
      } catch (error) {
        if (!enough.signal.aborted) throw error;
      }
    },
  };
};
