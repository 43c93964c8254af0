import { ContainerInstanceManagementClient } from '@azure/arm-containerinstance';
import type { ProviderContext } from '../context.ts';
import type { ContainerInstancesConfig } from './config.ts';
import { makeCredential } from './credentials.ts';

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
  const client = new ContainerInstanceManagementClient(credential, config.subscriptionId, { endpoint, retryOptions });
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
