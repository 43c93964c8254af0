import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { CommandView } from '../../shared/contract/schemas.ts';
import { RUNNER_COMMAND } from '../../shared/runner/program.ts';
import { type Cli, cli, startCli } from '../support/cli.ts';
import { startCloudRunCloud } from '../support/clouds/cloud-run/cloud-run-cloud.ts';
import { RUNNER_MAIN } from '../support/spawned-runner.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const cloudRun = (name: string, endpoint: string) => ({
  name,
  provider: 'cloud-run',
  config: {
    project: 'a-project',
    region: 'europe-west1',
    image: 'errand-base',
    serviceAccount: 'commands@a-project.iam.gserviceaccount.com',
    endpoint,
  },
});

/** `errand serve` with this machine, a Cloud Run that answers, one that does not, and pools of them. */
const serve = async () => {
  const dataDirectory = tempDirectory();
  const programs = { [RUNNER_COMMAND[0]]: [process.execPath, RUNNER_MAIN] };
  const cloud = await startCloudRunCloud({ folder: tempDirectory(), programs });
  onTestFinished(() => cloud.close());
  const targets = [cloudRun('well', cloud.endpoint), cloudRun('dead', 'http://127.0.0.1:1')];
  const pools = [
    { name: 'anywhere', targets: ['dead', 'well', 'local'], by: 'price' },
    { name: 'eu', targets: ['well', 'dead'], by: 'weight', weights: { well: 1, dead: 0 } },
  ];
  writeFileSync(join(dataDirectory, 'targets.json'), JSON.stringify({ targets, pools }));
  const server: Cli = startCli(['serve', '--port', '0'], { dataDirectory });
  await server.says('Errand serves at');
  const run = (...args: string[]) => cli(args, { dataDirectory });
  const show = async (): Promise<CommandView> => JSON.parse((await run('show', 'last', '--json')).stdout);
  return { run, show, start: (...args: string[]) => startCli(args, { dataDirectory }) };
};

test('errand run goes to the next target when one does not answer, and soon leaves it alone', async () => {
  const { run, show } = await serve();
  for (let i = 0; i < 3; i++) {
    const ran = await run('run', '--on', 'dead', '--failover', 'well', '--failover', 'local', '--', 'echo', 'hello');
    expect([ran.exit, ran.stdout]).toEqual([0, 'hello\n']);
  }
  expect((await show()).attempts.map(({ target, status }) => [target, status])).toEqual([
    ['dead', 'expired'],
    ['well', 'succeeded'],
  ]);
  expect((await run('providers')).stdout).toMatch(/^dead +cloud-run +down: .+ no: /m);
  await run('run', '--on', 'dead', '--failover', 'local', '--', 'true');
  expect((await show()).attempts).toMatchObject([{ target: 'local' }]);
  const logged = await run('audit', 'list', '--type', 'provider.health_changed');
  expect(logged.stdout).toContain('dead');
});

test('errand run --on a pool takes a target by its rule, and errand providers lists pools', async () => {
  const { run, show } = await serve();
  expect((await run('run', '--on', 'anywhere', '--', 'echo', 'cheap')).stdout).toBe('cheap\n');
  expect(await show()).toMatchObject({ target: 'anywhere', attempts: [{ target: 'local' }] });
  expect((await run('run', '--on', 'eu', '--', 'echo', 'weighty')).stdout).toBe('weighty\n');
  expect(await show()).toMatchObject({ target: 'eu', attempts: [{ target: 'well' }] });
  const { stdout } = await run('providers');
  expect(stdout).toMatch(/^anywhere +price +dead well local$/m);
  expect(stdout).toMatch(/^eu +weight +well×1 dead×0$/m);
});

test('errand move stops what runs and runs it on the other target', async () => {
  const { run, show, start } = await serve();
  const script = 'echo "on $ERRAND_ATTEMPT"; case $ERRAND_ATTEMPT in *-1) sleep 1000;; esac';
  const running = start('run', '--failover', 'well', '--retry', '2', '--retry-on', 'lost', '--', 'sh', '-c', script);
  await running.says('-1');
  const moved = await run('move', 'last', '--to', 'well');
  expect([moved.exit, moved.stderr]).toEqual([0, '']);
  expect(await running.exit).toBe(0);
  expect(running.stdout().toString()).toMatch(/^on cmd_\w+-1\non cmd_\w+-2\n$/);
  expect((await show()).attempts).toMatchObject([
    { target: 'local', status: 'canceled' },
    { target: 'well', status: 'succeeded' },
  ]);
  const refused = await run('move', 'last', '--to', 'local');
  expect([refused.exit, refused.stderr]).toEqual([125, expect.stringContaining('already ended')]);
});
