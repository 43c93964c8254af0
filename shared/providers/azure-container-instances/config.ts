import * as z from 'zod';
import { loopbackEndpoint, RUNNER_FEATURES } from '../elsewhere.ts';
import type { ProviderFeatures } from '../provider.ts';

const uuid = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, 'must be an id such as 00000000-0000-…');

/** A resource group in which container groups are made. */
export const ContainerInstancesConfig = z.strictObject({
  subscriptionId: uuid,
  resourceGroup: z.string().regex(/^[-\w.()]{1,90}$/, 'must be the name of a resource group'),
  location: z.string().regex(/^[a-z0-9]+$/, 'must be a location such as westeurope'),
  /** For commands that name none. It holds the runner at /errand; see `runnerImage`. */
  image: z.string().min(1),
  cpu: z.number().positive().max(32).default(1),
  memoryMiB: z.int().min(512).max(262_144).default(1_024),
  /** An image that holds the runner: it copies it into every group first. Without it images bring it themselves. */
  runnerImage: z.string().min(1).exactOptional(),
  /** A subnet delegated to container groups, by its resource id, so that commands are in your network. */
  subnetId: z.string().startsWith('/subscriptions/').exactOptional(),
  /** Signs in from AWS without a key. @default the Azure credentials of this machine */
  identity: z.strictObject({ tenantId: uuid, clientId: uuid }).exactOptional(),
  /** What Azure lets a subscription make in a region; past it nothing is asked of it. */
  createsPer5Minutes: z.int().min(1).default(100),
  createsPerHour: z.int().min(1).default(300),
  /** For local trials: where something else speaks Azure's protocol. */
  endpoint: loopbackEndpoint(/^http$/).exactOptional(),
});
export type ContainerInstancesConfig = z.infer<typeof ContainerInstancesConfig>;

export const containerInstancesFeatures = (_config: ContainerInstancesConfig): ProviderFeatures => ({
  ...RUNNER_FEATURES,
  mode: 'detached',
  // A group stays, and counts against the quota, until it is deleted.
  leavesBehind: true,
  startSeconds: 600,
  customImage: true,
  resourceLimits: true,
  // A group has a virtual machine of its own
  // (https://learn.microsoft.com/azure/container-instances/container-instances-overview#hypervisor-level-security).
  isolation: ['microvm'],
  longestTimeoutSeconds: 7 * 24 * 3_600,
});
