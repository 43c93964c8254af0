import * as z from 'zod';

/**
 * What the function is invoked with, all of it: nothing of the command is in here, as payloads may be traced and logged.
 * The token is the right to one attempt; whoever redeems the start ticket with it is told what to execute.
 */
export const Invocation = z.strictObject({
  v: z.literal(1),
  url: z.url({ protocol: /^https?$/ }),
  token: z.string().min(1).max(1_000),
});
export type Invocation = z.infer<typeof Invocation>;
