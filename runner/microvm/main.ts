import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../machine/system-clock.ts';
import { makeControl } from '../../shared/runner/control.ts';
import { KEEPER_ENVIRONMENT, runnerEnvironment } from '../../shared/runner/program.ts';
import { jsonLog } from '../../shared/telemetry/log.ts';
import { type KeeperOptions, makeKeeper, type RunnerEnd } from './keeper.ts';

/* The keeper, as the first process of a MicroVM's image (infra/microvm-image). It listens for Lambda's hooks. */

/** Beside this file; in a bundle, beside that. */
const RUNNER = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../main.ts' : './runner.mjs', import.meta.url));
const { [KEEPER_ENVIRONMENT.host]: host = '0.0.0.0', [KEEPER_ENVIRONMENT.port]: port = '9000' } = process.env;
const log = jsonLog(systemClock, (line) => process.stderr.write(line));

const startRunner: KeeperOptions['startRunner'] = async ({ url, token }) => {
  const child = spawn(process.execPath, [RUNNER], {
    env: { ...process.env, ...runnerEnvironment({ url, token }) },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ended = new Promise<RunnerEnd>((resolve) =>
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal })),
  );
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  return { ended, stop: () => void child.kill('SIGTERM') };
};

const tellLost: KeeperOptions['tellLost'] = async ({ url, token }, detail) => {
  // It redeems nothing, so that it needs no name of its own.
  const control = makeControl({ url, token, runner: '0'.repeat(32), clock: systemClock, fetch });
  const output = { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 };
  await control.end({ kind: 'lost', detail, output }, new Uint8Array());
};

const keeper = makeKeeper({ startRunner, tellLost, clock: systemClock, log });
const server = createServer(keeper.listener);
server.listen(Number(port), host, () => {
  log.info('The keeper listens', { port: (server.address() as AddressInfo).port });
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => void keeper.end().finally(() => process.exit(0)));
}
