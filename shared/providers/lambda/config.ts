import * as z from 'zod';
import type { Isolation } from '../../domain/command.ts';
import { loopbackEndpoint, RUNNER_FEATURES } from '../elsewhere.ts';
import type { ProviderFeatures } from '../provider.ts';

/** A name or an ARN, as the service takes it, without a version: that is `qualifier`. */
const FUNCTION =
  /^(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d:)?(\d{12}:)?(function:)?[a-zA-Z0-9-_.]+$/;

/** The executor function of a target. */
export const LambdaConfig = z
  .strictObject({
    /** Name or ARN of the executor function. */
    functionName: z.string().max(140).regex(FUNCTION, 'must be a Lambda function name or ARN, without a version'),
    /** A version or an alias. @default the newest code */
    qualifier: z
      .string()
      .max(128)
      .regex(/^[a-zA-Z0-9$_-]+$/)
      .exactOptional(),
    region: z.string().regex(/^[a-z]{2,}(-[a-z]+)+-\d$/, 'must be a region such as eu-central-1'),
    /** Whether the function was made with tenancy `PER_TENANT`. Without it all tenants share its environments. */
    tenantIsolation: z.boolean().default(true),
    /**
     * Who shares an environment: the commands of one tenant, one after the other, or none. `command` makes each start a
     * cold one, and counts against 2,500 environments per 1,000 of the account's concurrency.
     */
    freshEnvironment: z.enum(['tenant', 'command']).default('tenant'),
    /** The function's own time-out, as it was deployed. */
    functionTimeoutSeconds: z.int().min(60).max(900).default(900),
    /** For local trials: where something else speaks Lambda's protocol. */
    endpoint: loopbackEndpoint(/^https?$/).exactOptional(),
  })
  .refine(({ freshEnvironment, tenantIsolation }) => freshEnvironment === 'tenant' || tenantIsolation, {
    path: ['freshEnvironment'],
    error: '`command` needs tenantIsolation: only by tenant ids does Lambda keep environments apart',
  });
export type LambdaConfig = z.infer<typeof LambdaConfig>;

/** The executor ends a command so long before its function would be ended, and has the rest to bring its end home. */
const FUNCTION_MARGIN_SECONDS = 30;
/** The dispatcher may be a function of 900 s itself: it has to find a cold executor before, and to store the end after. */
const LONGEST_SECONDS = 840;

export const lambdaFeatures = (config: LambdaConfig): ProviderFeatures => ({
  ...RUNNER_FEATURES,
  mode: 'inline',
  leavesBehind: false,
  startSeconds: 60,
  customImage: false,
  // One memory tier a function: another tier is another target.
  resourceLimits: false,
  isolation: [isolationOf(config)],
  longestTimeoutSeconds: Math.min(LONGEST_SECONDS, config.functionTimeoutSeconds - FUNCTION_MARGIN_SECONDS),
});

/**
 * A Firecracker machine stands around each environment, but who asks for `microvm` asks for walls around this command.
 * Only an environment that serves no other command gives them. Where one tenant's commands follow each other, each finds
 * no process and no file of the last, and would be the same user as whatever escaped that: no more than `process`.
 */
const isolationOf = ({ freshEnvironment, tenantIsolation }: LambdaConfig): Isolation => {
  if (freshEnvironment === 'command') return 'microvm';
  return tenantIsolation ? 'process' : 'none';
};
