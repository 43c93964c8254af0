/// <reference types="aws-lambda" />
import { tmpdir } from 'node:os';
import { systemClock } from '../../machine/system-clock.ts';
import { makeExecutor } from '../../runner/lambda/executor.ts';
import { jsonLog } from '../../shared/telemetry/log.ts';

/** What runs inside Lambda: the executor of the provider `lambda`. Its environment says whether the machine is its own. */
export const handler = awslambda.streamifyResponse(
  makeExecutor({
    clock: systemClock,
    log: jsonLog(systemClock, (line) => process.stdout.write(line)),
    fetch,
    tmp: tmpdir(),
    ownsMachine: process.env['ERRAND_OWN_MACHINE'] === 'yes',
    exit: () => process.exit(1),
  }),
);
