import * as z from 'zod';

/** Up to which any number is exact in JSON. */
const Quota = z.int().min(0);

export const TenantLimitsSchema = z
  .strictObject({
    requestsPerSecond: z.int().min(1).max(1_000_000).optional().describe('Of all its callers together.'),
    unfinishedCommands: Quota.optional().describe('Commands that have not ended, queued or running.'),
    commandsPerDay: Quota.optional(),
    cpuSecondsPerDay: Quota.optional(),
    outputBytesPerDay: Quota.optional(),
  })
  .meta({ id: 'TenantLimits', description: 'What is not named is not limited. A day is one of UTC.' });

const day = {
  day: z.iso.date(),
  commands: z.int().min(0),
  cpuSeconds: z.number().min(0).describe('As measured; where a provider cannot, the time that commands ran.'),
  outputBytes: z.int().min(0),
};

export const UsageView = z
  .object({
    tenant: z.string(),
    ...day,
    unfinishedCommands: z.int().min(0).describe('That have not ended, of whatever day.'),
    complete: z
      .boolean()
      .describe(
        'False where the tenant has no quotas, so nothing is counted, and more was submitted than is looked at.',
      ),
    limits: TenantLimitsSchema,
    days: z
      .array(z.object(day))
      .describe('The last 30 days before today on which anything was counted, the newest first.'),
  })
  .meta({ id: 'Usage' });
