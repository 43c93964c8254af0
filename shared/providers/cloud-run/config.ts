import * as z from 'zod';
import type { ProviderFeatures } from '../provider.ts';

const LOOPBACK: readonly string[] = ['127.0.0.1', '[::1]', 'localhost'];

/** What Cloud Run gives: whole processors, and memory that fits to them (https://cloud.google.com/run/docs/configuring/services/cpu). */
export const CPU_STEPS: readonly number[] = [1, 2, 4, 8];
export const MEMORY_MIB: Readonly<Record<number, { readonly min: number; readonly max: number }>> = {
  1: { min: 512, max: 4_096 },
  2: { min: 512, max: 8_192 },
  4: { min: 2_048, max: 16_384 },
  8: { min: 4_096, max: 32_768 },
};

/** A project and region in which jobs run. */
export const CloudRunConfig = z.strictObject({
  project: z.string().regex(/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/, 'must be a project id'),
  region: z.string().regex(/^[a-z]+-[a-z]+\d+$/, 'must be a region such as europe-west1'),
  /** For commands that name none. It holds the runner at /errand; see `runnerBucket`. */
  image: z.string().min(1),
  cpu: z
    .union(CPU_STEPS.map((step) => z.literal(step)) as [z.ZodLiteral<number>, ...z.ZodLiteral<number>[]])
    .default(1),
  memoryMiB: z.int().min(512).max(32_768).default(512),
  /** Whom commands are to Google's metadata server: an account without any role. */
  serviceAccount: z.email().exactOptional(),
  /** A bucket with the packed runner, mounted read-only at /errand in every image. Without it images bring it themselves. */
  runnerBucket: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/)
    .exactOptional(),
  /** Signs in from AWS without a key. @default Google's own credentials of this machine */
  workloadIdentity: z
    .strictObject({
      /** `//iam.googleapis.com/projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>` */
      audience: z
        .string()
        .regex(/^\/\/iam\.googleapis\.com\/projects\/\d+\/locations\/global\/workloadIdentityPools\//),
      /** Acts as this account then. @default the federated identity itself */
      serviceAccount: z.email().exactOptional(),
    })
    .exactOptional(),
  /** For local trials: where something else speaks Cloud Run's protocol. */
  endpoint: z
    .url({ protocol: /^http$/ })
    .refine((url) => LOOPBACK.includes(new URL(url).hostname), {
      error: 'is for local trials: its host must be 127.0.0.1, [::1] or localhost',
    })
    .exactOptional(),
});
export type CloudRunConfig = z.infer<typeof CloudRunConfig>;

export const cloudRunFeatures = (_config: CloudRunConfig): ProviderFeatures => ({
  mode: 'detached',
  runner: 'remote',
  // An execution that has ended costs nothing, and Google removes it.
  leavesBehind: false,
  startSeconds: 300,
  startTicket: true,
  liveOutput: true,
  separateStreams: true,
  stdin: true,
  signals: true,
  cancel: 'tree',
  customImage: true,
  resourceLimits: true,
  // Jobs run in the second generation: a virtual machine for each execution, whose kernel no other command shares.
  isolation: ['microvm'],
  // Cloud Run's own limit is 168 hours; the rest is for start, grace and the runner's last word.
  longestTimeoutSeconds: 7 * 24 * 3_600 - 3_600,
});
