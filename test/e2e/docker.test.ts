import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { cli, startCli } from '../support/cli.ts';
import { missingFor, type RunningDaemon, startDaemon } from '../support/containers/daemons.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const missing = missingFor('dockerd');
const needs = missing.length > 0 ? ` (needs ${missing.join(', ')})` : '';

describe.skipIf(missing.length > 0)(`errand on docker${needs}`, () => {
  let daemon: RunningDaemon;
  beforeAll(async () => {
    daemon = await startDaemon('dockerd');
  });
  afterAll(() => daemon?.close());
  afterEach(async () => expect(await daemon.containers()).toEqual([]));

  /** A data folder with a target, whose socket DOCKER_HOST tells. */
  const options = (config: object = {}) => {
    const dataDirectory = tempDirectory();
    const target = { name: 'docker', provider: 'docker', config: { ...daemon.config, ...config } };
    writeFileSync(join(dataDirectory, 'targets.json'), JSON.stringify({ targets: [target] }));
    return { dataDirectory, env: { DOCKER_HOST: `unix://${daemon.socketPath}` } };
  };

  test('run passes streams, input and exit code through', async () => {
    const script = 'cat; echo err >&2; id -u; exit 9';
    const ran = await cli(['run', '--on', 'docker', '--', 'sh', '-c', script], { ...options(), input: 'given\n' });
    expect(ran).toMatchObject({ exit: 9, stdout: 'given\n65534\n', stderr: 'err\n' });
  });

  test('run asks for memory and is told when it was not enough', async () => {
    const command = ['--memory', '32', '--', 'tail', '/dev/zero'];
    const ran = await cli(['run', '--on', 'docker', ...command], options());
    expect([ran.exit, ran.stderr]).toEqual([137, expect.stringContaining('ran out of memory')]);
  });

  test('an image that the target does not name is refused before it is stored', async () => {
    const ran = await cli(['run', '--on', 'docker', '--image', 'other:1', '--', 'true'], options());
    expect([ran.exit, ran.stderr]).toEqual([125, expect.stringContaining('cannot run an image')]);
  });

  test('Ctrl-C ends the container', async () => {
    const running = startCli(['run', '--on', 'docker', '--', 'sh', '-c', 'echo ready; sleep 1000'], options());
    await running.says('ready');
    expect(await daemon.containers()).toHaveLength(1);
    running.process.kill('SIGINT');
    expect(await running.exit).toBe(130);
  });

  test('a time-out ends the container', async () => {
    const ran = await cli(['run', '--on', 'docker', '--timeout', '1s', '--', 'sleep', '1000'], options());
    expect([ran.exit, ran.stderr]).toEqual([124, expect.stringContaining('time-out of 1 s')]);
  });

  test('what a killed process left is ended by the next, and told as lost', async () => {
    const given = options();
    const running = startCli(['run', '--on', 'docker', '--', 'sh', '-c', 'echo ready; sleep 1000'], given);
    await running.says('ready');
    running.process.kill('SIGKILL');
    await running.exit;
    expect(await daemon.containers()).toHaveLength(1);
    const listed = await cli(['ps', '--all'], given);
    expect(listed.stdout).toContain('lost');
  });

  test('providers tells whether its daemon answers', async () => {
    const there = await cli(['providers'], options());
    expect(there.stdout).toMatch(/docker\s.*container/s);
    const away = await cli(['providers', '--json'], options({ socketPath: '/no/such/docker.sock' }));
    expect(away.stdout).toContain('no such socket');
  });
});
