import { expect, onTestFinished, test } from 'vitest';
import type { Firing } from '../../clients/sdk/schedules.ts';
import { openDoor } from '../../local/door.ts';
import { keepFiring } from '../../local/firing.ts';
import { makeGateway } from '../../local/gateway.ts';
import { listen } from '../../local/http-server.ts';
import { openData } from '../../local/open-data.ts';
import { systemRandom } from '../../machine/system-clock.ts';
import { silentLog } from '../../shared/telemetry/log.ts';
import { cli } from '../support/cli.ts';
import { fasterClock } from '../support/faster-clock.ts';
import { tempDirectory } from '../support/temp-directory.ts';

/** A server for which time goes by so many times as fast. */
const startFastServer = async (times: number): Promise<{ url: string; ownerKey: string }> => {
  const log = silentLog;
  const clock = fasterClock(times);
  const data = await openData({
    ...{ dataDirectory: tempDirectory(), clock, random: systemRandom, log, runnerUrl: () => '', trySandbox: false },
  });
  const loopback = { host: '127.0.0.1' };
  const http = await listen(makeGateway(data.deps), { ...loopback, port: 0, door: openDoor(loopback), log });
  const firing = keepFiring(data.deps);
  onTestFinished(async () => {
    await Promise.all([http.close(), data.close()]);
    await firing;
  });
  return { url: http.url, ownerKey: data.ownerKey };
};

test('a schedule of each minute, stored by the CLI, runs its command and tells of it', async () => {
  // A minute takes two seconds.
  const { url, ownerKey } = await startFastServer(30);
  const options = { dataDirectory: tempDirectory(), env: { ERRAND_URL: url, ERRAND_API_KEY: ownerKey, TZ: 'UTC' } };
  const errand = (...args: string[]) => cli(['schedule', ...args], options);
  const added = await errand(
    ...['add', '--name', 'tick', '--cron', '* * * * *', '--time-zone', 'Europe/Berlin'],
    ...['--overlap', 'queue', '--label', 'a=b', '--', 'echo', 'it is time'],
  );
  expect(added).toMatchObject({ exit: 0, stderr: '' });
  const id = added.stdout.trim();
  expect(id).toMatch(/^sch_[0-9a-f]{16}$/);
  expect((await errand('list')).stdout).toMatch(
    new RegExp(`${id} +tick +active +\\S.* \\* \\* \\* \\* \\* Europe/Berlin +echo 'it is time'`),
  );
  const history = async (): Promise<Firing[]> =>
    (await errand('history', 'tick', '--json')).stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  await expect.poll(async () => (await history()).length, { timeout: 30_000 }).toBeGreaterThanOrEqual(2);
  expect(await errand('pause', 'tick')).toMatchObject({ exit: 0, stderr: '' });
  const fired = (await history()).filter(({ outcome }) => outcome === 'submitted');
  for (const { at, command } of fired) {
    expect(at).toMatch(/:00\.000Z$/);
    const logs = await cli(['logs', '-f', command ?? ''], options);
    expect(logs).toMatchObject({ exit: 0, stdout: 'it is time\n' });
  }
  const shown = await errand('show', 'tick');
  expect(shown.stdout).toMatch(/state +paused/);
  expect(shown.stdout).toContain(fired[0]?.command);
  const triggered = await errand('trigger', id);
  expect(triggered.stdout).toMatch(/^cmd_/);
  await errand('resume', id);
  expect((await errand('show', id)).stdout).toMatch(/next firings\n( {2}.* UTC +\((now|in .*)\)\n){5}/);
  expect(await errand('put', id, '--every', '1h', '--on-version', '1', '--', 'true')).toMatchObject({
    stdout: 'version 2\n',
  });
  expect(await errand('remove', 'tick')).toMatchObject({
    exit: 2,
    stderr: expect.stringContaining('no schedule tick'),
  });
  expect(await errand('remove', id)).toMatchObject({ exit: 0 });
  expect((await errand('list')).stdout).not.toContain(id);
}, 90_000);

test('words that do not fit together are told apart before anything is asked for', async () => {
  const options = { dataDirectory: tempDirectory() };
  const errand = (...args: string[]) => cli(['schedule', ...args], options);
  expect(await errand('add', '--', 'true')).toMatchObject({ exit: 2, stderr: expect.stringContaining('--cron') });
  const two = await errand('add', '--every', '60s', '--at', '2030-01-01T00:00', '--', 'true');
  expect(two).toMatchObject({ exit: 2, stderr: expect.stringContaining('one of') });
  const odd = await errand('add', '--at', 'tomorrow', '--', 'true');
  expect(odd).toMatchObject({ exit: 2, stderr: expect.stringContaining('2030-01-01T03:00') });
  const stored = await errand('add', '--at', '2130-01-01T00:00Z', '--', 'true');
  expect(stored).toMatchObject({ exit: 0, stderr: expect.stringContaining('errand serve') });
});
