import type { ContainerInstanceManagementClient } from '@azure/arm-containerinstance';
import { createPipelineRequest } from '@azure/core-rest-pipeline';
import type { ContainerInstancesConfig } from './config.ts';
import { TAG } from './group.ts';

const API_VERSION = '2021-04-01';

/**
 * Sees that the resource group is given to this installation: by its tag, so that a mistyped name does not put commands
 * among somebody else's things.
 * @throws Error that says what is wrong, for a person
 */
export const requireResourceGroup = async (
  client: ContainerInstanceManagementClient,
  { subscriptionId, resourceGroup }: ContainerInstancesConfig,
  installation: string,
  { abortSignal }: { readonly abortSignal: AbortSignal },
): Promise<void> => {
  const path = `/subscriptions/${subscriptionId}/resourceGroups/${encodeURIComponent(resourceGroup)}`;
  const { status, bodyAsText } = await client.sendRequest(
    createPipelineRequest({ url: `${client.$host}${path}?api-version=${API_VERSION}`, abortSignal }),
  );
  if (status !== 200) throw new Error(`Azure does not show the resource group ${resourceGroup} (${status}).`);
  const { tags = {} } = JSON.parse(bodyAsText ?? '{}') as { readonly tags?: Readonly<Record<string, string>> };
  const tag = tags[TAG.installation];
  if (tag === installation) return;
  const instead = tag === undefined ? 'no such tag' : `${TAG.installation}=${tag}`;
  throw new Error(
    `The resource group ${resourceGroup} must carry ${TAG.installation}=${installation}; it has ${instead}.`,
  );
};
