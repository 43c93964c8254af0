import * as z from 'zod';
import { loopbackEndpoint, RUNNER_FEATURES } from '../elsewhere.ts';
import type { ProviderFeatures } from '../provider.ts';
import { CPU_STEPS, shapeFault } from './resources.ts';

const AUDIENCE =
  /^\/\/iam\.googleapis\.com\/projects\/\d+\/locations\/global\/workloadIdentityPools\/[a-z0-9-]+\/providers\/[a-z0-9-]+$/;

/** A project and a region in which jobs run. */
export const CloudRunConfig = z
  .strictObject({
    project: z.string().regex(/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/, 'must be a project id, such as my-project'),
    region: z.string().regex(/^[a-z]+-[a-z]+\d{1,2}$/, 'must be a region such as europe-west1'),
    /** For commands that name none. It brings the runner at /errand, unless `runnerBucket` does. */
    image: z.string().min(1).max(512),
    cpu: z.literal(CPU_STEPS).default(1),
    memoryMiB: z.int().default(512),
    /** A bucket with the packed runner, mounted read-only at /errand in every image. @default images bring it themselves */
    runnerBucket: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/, 'must be the name of a bucket')
      .exactOptional(),
    /** Whom commands are to Google's metadata server: an account without roles, or with `runnerBucket` that may read it. */
    serviceAccount: z.email('must be the e-mail address of a service account'),
    /** A network of one's own. @default the internet, directly */
    vpc: z
      .strictObject({
        network: z.string().min(1).exactOptional(),
        subnetwork: z.string().min(1).exactOptional(),
        egress: z.enum(['all-traffic', 'private-ranges-only']).default('all-traffic'),
      })
      .refine(({ network, subnetwork }) => network !== undefined || subnetwork !== undefined, {
        error: 'needs a network or a subnetwork',
      })
      .exactOptional(),
    /** Signs in from AWS without a key. @default Google's own credentials of this machine */
    workloadIdentity: z
      .strictObject({
        audience: z
          .string()
          .regex(
            AUDIENCE,
            'must be //iam.googleapis.com/projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>',
          ),
        /** Acts as this account then. @default the federated identity itself */
        serviceAccountEmail: z.email().exactOptional(),
      })
      .exactOptional(),
    /** For local trials: where something else speaks Cloud Run's protocol. */
    endpoint: loopbackEndpoint(/^http$/).exactOptional(),
  })
  .superRefine(({ cpu, memoryMiB }, context) => {
    const fault = shapeFault({ cpu, memoryMiB });
    if (fault !== undefined) context.addIssue({ code: 'custom', path: ['memoryMiB'], message: fault });
  });
export type CloudRunConfig = z.infer<typeof CloudRunConfig>;

/** 168 hours: the most that Cloud Run lets a task run. */
export const LONGEST_TASK_SECONDS = 7 * 24 * 3_600;
/** Within a task's time, beyond its command's: the runner redeems before, and after it comes the grace and the last word. */
export const TASK_MARGIN_SECONDS = 300;

export const cloudRunFeatures = (_config: CloudRunConfig): ProviderFeatures => ({
  ...RUNNER_FEATURES,
  mode: 'detached',
  // An execution that has ended costs nothing, and Google removes the oldest beyond 1,000 of a job by itself.
  leavesBehind: false,
  startSeconds: 300,
  customImage: true,
  resourceLimits: true,
  // Jobs run in the second generation: a virtual machine for each task, whose kernel no other command shares. It is the
  // only level there is, so that who asks for `container` or `sandbox` is given this.
  isolation: ['microvm'],
  longestTimeoutSeconds: LONGEST_TASK_SECONDS - TASK_MARGIN_SECONDS,
});
