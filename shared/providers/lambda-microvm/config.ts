import * as z from 'zod';
import { loopbackEndpoint, RUNNER_FEATURES } from '../elsewhere.ts';
import type { ProviderFeatures } from '../provider.ts';

/** The service takes a bare name where it looks an image up, and not where it runs one. */
const IMAGE = z
  .string()
  .regex(
    /^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:microvm-image:[a-zA-Z0-9_-]{1,64}$/,
    'must be the ARN of a MicroVM image, without a version',
  );
const VERSION = z
  .string()
  .regex(/^\d+(\.\d+)?$/, 'must be a version of the image, such as 1.0')
  .exactOptional();

/** An image that holds the keeper and the runner (infra/microvm-image), and a size of machine with it. */
const Image = z.strictObject({ image: IMAGE, imageVersion: VERSION });

export const LambdaMicrovmConfig = z
  .strictObject({
    region: z.string().regex(/^[a-z]{2,}(-[a-z]+)+-\d$/, 'must be a region such as eu-central-1'),
    /** For commands that name none. */
    image: IMAGE,
    /** @default the newest that is active */
    imageVersion: VERSION,
    /** What commands may ask for by name: another image, or the same with a larger machine. */
    images: z
      .record(z.string().min(1).max(512), Image)
      .refine((images) => Object.keys(images).length > 0, { error: 'needs an image' })
      .exactOptional(),
    /** A network connector, such as into a VPC. Commands must reach the control plane through it. @default the internet */
    egressConnector: z
      .string()
      .max(2_048)
      .regex(
        /^arn:aws[a-z-]*:lambda:[a-z0-9-]+:(\d{12}|aws):network-connector:[a-zA-Z0-9:_-]+$/,
        'must be the ARN of a network connector',
      )
      .exactOptional(),
    /** Whom commands are to AWS. @default nobody */
    executionRole: z
      .string()
      .regex(/^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+$/, 'must be the ARN of a role')
      .exactOptional(),
    /** A log group for what the keeper and the runner log, none of it of the command. @default none */
    logGroup: z
      .string()
      .regex(/^[a-zA-Z0-9_\-/.#]{1,512}$/, 'must be the name of a log group')
      .exactOptional(),
    /** For local trials: where something else speaks Lambda's protocol. */
    endpoint: loopbackEndpoint(/^https?$/).exactOptional(),
  })
  .superRefine(({ region, image, images = {}, executionRole, logGroup }, context) => {
    const fault = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    const elsewhere = `must be in ${region}`;
    if (!isIn(region, image)) fault(['image'], elsewhere);
    for (const [name, own] of Object.entries(images)) {
      if (!isIn(region, own.image)) fault(['images', name, 'image'], elsewhere);
    }
    if (logGroup !== undefined && executionRole === undefined) {
      fault(['logGroup'], 'needs an executionRole that may write it: Lambda logs as the role of the machine');
    }
  });
export type LambdaMicrovmConfig = z.infer<typeof LambdaMicrovmConfig>;

/** What is no ARN at all has been told that already. */
const isIn = (region: string, arn: string): boolean => (arn.split(':')[3] ?? region) === region;

/** The longest that a MicroVM may exist (the API model of RunMicrovm). */
export const LONGEST_LIFE_SECONDS = 28_800;
/** Within a machine's life, beyond its command's: the runner redeems before, and after it comes the grace and the last word. */
export const LIFE_MARGIN_SECONDS = 300;

export const lambdaMicrovmFeatures = ({ images }: LambdaMicrovmConfig): ProviderFeatures => ({
  ...RUNNER_FEATURES,
  mode: 'detached',
  // A machine goes on, and costs money, until it is terminated: nothing inside it can end it.
  leavesBehind: true,
  // It resumes a snapshot, within seconds.
  startSeconds: 120,
  // Only what the target maps: an image is built by Lambda for minutes, and is no image of a registry.
  customImage: images !== undefined,
  // The size of a machine is its image's.
  resourceLimits: false,
  isolation: ['microvm'],
  longestTimeoutSeconds: LONGEST_LIFE_SECONDS - LIFE_MARGIN_SECONDS,
});
