import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../machine/system-clock.ts';
import { local } from '../shared/providers/local/local.ts';
import { makeControl } from '../shared/runner/control.ts';
import { RUNNER_ENVIRONMENT } from '../shared/runner/program.ts';
import { runAttemptHere } from '../shared/runner/runner.ts';
import { jsonLog } from '../shared/telemetry/log.ts';

/*
 * The runner: one small program that stands beside one command, in whatever image that is. It always ends with status 0
 * by itself: what it says of the command it says to the control plane, and a provider that restarts failed containers
 * must not run it twice.
 */
const { [RUNNER_ENVIRONMENT.url]: url, [RUNNER_ENVIRONMENT.token]: token } = process.env;
const log = jsonLog(systemClock, (line) => process.stderr.write(line));

const run = async (url: string, token: string): Promise<void> => {
  const evicted = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => evicted.abort());
  const launcher = await local({
    workDirectory: join(process.env['TMPDIR'] ?? tmpdir(), 'errand'),
    isOwnerAlive: async () => true,
    helpers: 1,
    trySandbox: false,
    log,
  });
  try {
    const control = makeControl({ url, token, runner: randomBytes(16).toString('hex'), clock: systemClock, fetch });
    await runAttemptHere({ token, control, launcher, clock: systemClock, log, evicted: evicted.signal });
  } finally {
    await launcher.close();
  }
};

if (url === undefined || token === undefined) {
  log.error(`The runner needs ${RUNNER_ENVIRONMENT.url} and ${RUNNER_ENVIRONMENT.token} in its environment.`);
} else {
  await run(url, token).catch((error: unknown) => log.error('The runner failed', { error }));
}
process.exitCode = 0;
