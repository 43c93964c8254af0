import * as z from 'zod';
import { loopbackEndpoint, RUNNER_FEATURES } from '../elsewhere.ts';
import type { ProviderFeatures } from '../provider.ts';

/**
 * What a container group can be given anywhere
 * (https://learn.microsoft.com/azure/container-instances/container-instances-resource-and-quota-limits). More than 4
 * processors or 16 GB only some regions have: Azure says so.
 */
export const MACHINE = { cpu: { min: 1, max: 31 }, memoryGiB: { min: 1, max: 240 } } as const;

const inTenths = (value: number): boolean => Math.abs(value * 10 - Math.round(value * 10)) < 1e-9;

/** A resource group in which container groups run. */
export const ContainerInstancesConfig = z
  .strictObject({
    subscriptionId: z.guid(),
    resourceGroup: z.string().regex(/^[-\w.()]{0,89}[-\w()]$/, 'must be the name of a resource group'),
    location: z.string().regex(/^[a-z][a-z0-9]+$/, 'must be a region such as westeurope'),
    /** For commands that name none. */
    image: z.string().min(1),
    cpu: z.int().min(MACHINE.cpu.min).max(MACHINE.cpu.max).default(1),
    /** In steps of 0.1. */
    memoryGiB: z
      .number()
      .min(MACHINE.memoryGiB.min)
      .max(MACHINE.memoryGiB.max)
      .refine(inTenths, 'must be in steps of 0.1')
      .default(1),
    /** How the runner comes into `image`: it is in there at /errand, or it is copied from `runnerImage` each time. */
    runner: z.enum(['baked', 'init']).default('baked'),
    /** An image with the runner at /errand, and cp. With it the images that commands name need not have the runner. */
    runnerImage: z.string().min(1).exactOptional(),
    /** Subnets that are delegated to Microsoft.ContainerInstance/containerGroups. @default no virtual network */
    subnetIds: z
      .array(z.string().regex(/^\/subscriptions\/.+\/subnets\/[^/]+$/, 'must be the resource id of a subnet'))
      .min(1)
      .exactOptional(),
    /** What this process may use up of Azure's limits for the subscription and region. */
    createsPer5Minutes: z.int().min(1).default(100),
    createsPerHour: z.int().min(1).default(300),
    /** Signs in from AWS without a key, as this application. @default Azure's own credentials of this machine */
    identity: z.strictObject({ tenantId: z.guid(), clientId: z.guid() }).exactOptional(),
    /** For local trials: where something else speaks Azure's protocol. */
    endpoint: loopbackEndpoint(/^http$/).exactOptional(),
  })
  .refine(({ runner, runnerImage }) => runner === 'baked' || runnerImage !== undefined, {
    path: ['runnerImage'],
    error: 'is needed, since runner is init',
  });
export type ContainerInstancesConfig = z.infer<typeof ContainerInstancesConfig>;

export const containerInstancesFeatures = (_config: ContainerInstancesConfig): ProviderFeatures => ({
  ...RUNNER_FEATURES,
  mode: 'detached',
  // A group that has ended stays, and counts, until it is deleted.
  leavesBehind: true,
  startSeconds: 600,
  customImage: true,
  resourceLimits: true,
  // A group is isolated as a virtual machine is: it shares no kernel with another group, and each attempt is one.
  isolation: ['microvm'],
  longestTimeoutSeconds: 7 * 24 * 3_600,
});
