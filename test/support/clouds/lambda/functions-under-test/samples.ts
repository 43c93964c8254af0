import { readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Context } from 'aws-lambda';
import { encodeRecord } from '../../../../../shared/providers/lambda/stream-frames.ts';

/* Functions that the local Lambda is tried with. */

let invocations = 0;
let ticks = 0;

/** What a function can see of its environment. */
export const look = async (event: unknown, context: Context) => {
  invocations++;
  writeFileSync(join(tmpdir(), `left-by-${context.awsRequestId}`), '');
  return {
    event,
    invocations,
    ticks,
    left: readdirSync(tmpdir()).length,
    functionName: context.functionName,
    arn: context.invokedFunctionArn,
    tenantId: context.tenantId ?? null,
    memory: context.memoryLimitInMB,
    remaining: context.getRemainingTimeInMillis(),
    canary: process.env['AWS_SECRET_ACCESS_KEY'] ?? null,
  };
};

/** Something in the background, as long as the environment is not frozen. */
export const tick = async () => {
  if (invocations++ === 0) setInterval(() => ticks++, 5);
  return { ticks };
};

export const fail = async () => {
  throw new TypeError('it failed on purpose');
};

export const exit = async () => process.exit(3);

export const stay = async () => setTimeout(600_000, 'never');

export const stream = awslambda.streamifyResponse(async (event: { readonly parts: readonly string[] }, response) => {
  for (const part of event.parts) response.write(part);
  response.end();
});

export const failMidway = awslambda.streamifyResponse(async (_event, response) => {
  response.write('so far');
  throw new RangeError('and no further');
});

/** Says what it is given, waits for nobody, and tells when it is through, in its folder. */
export const slowStream = awslambda.streamifyResponse(async (_event, response) => {
  response.write('begun');
  await setTimeout(300);
  writeFileSync(join(tmpdir(), 'went-on'), '');
  response.end('done');
});

/** An executor that says that it started, and then nothing more. */
export const startAndStay = awslambda.streamifyResponse(async (_event, response) => {
  for (const kind of ['heartbeat', 'started'] as const) response.write(Buffer.concat(encodeRecord({ kind })));
  await setTimeout(600_000);
});

/** An executor that breaks off in the middle of what it says. */
export const breakOff = awslambda.streamifyResponse(async (_event, response) => {
  for (const kind of ['heartbeat', 'started'] as const) response.write(Buffer.concat(encodeRecord({ kind })));
  response.end(Buffer.concat(encodeRecord({ kind: 'ended', exit: { exitCode: 0, signal: null } })).subarray(0, -1));
});

export const nothing = awslambda.streamifyResponse(async (_event, response) => {
  response.end();
});
