import * as z from 'zod';

/**
 * What a MicroVM is told by its `/run` hook, all of it: nothing of the command is in here. The token is the right to one
 * attempt; whoever redeems the start ticket with it is told what to execute.
 */
export const RunPayload = z.strictObject({
  v: z.literal(1),
  url: z.url({ protocol: /^https?$/ }),
  token: z.string().min(1).max(1_000),
});
export type RunPayload = z.infer<typeof RunPayload>;

/** As many as RunMicrovm takes (its API model, `RunHookPayload`). */
export const MOST_PAYLOAD_CHARACTERS = 4_096;
