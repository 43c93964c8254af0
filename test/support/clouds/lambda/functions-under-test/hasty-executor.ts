import { tmpdir } from 'node:os';
import { makeExecutor } from '../../../../../runner/lambda/executor.ts';
import { jsonLog } from '../../../../../shared/telemetry/log.ts';
import { fasterClock } from '../../../faster-clock.ts';

/** How much faster than others' its time goes by. */
const TIMES = 5;
const clock = fasterClock(TIMES);

const execute = makeExecutor({
  clock,
  log: jsonLog(clock, (line) => process.stdout.write(line)),
  fetch,
  tmp: tmpdir(),
  ownsMachine: process.env['ERRAND_OWN_MACHINE'] === 'yes',
  exit: () => process.exit(1),
});

/** The executor with little patience, for tests of what it does when it is out of it. */
export const handler = awslambda.streamifyResponse((event: unknown, stream, context) =>
  execute(event, stream, { getRemainingTimeInMillis: () => context.getRemainingTimeInMillis() * TIMES }),
);
