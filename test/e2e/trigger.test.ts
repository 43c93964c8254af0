import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cli, startServer } from '../support/cli.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { GITHUB_PUSH, GITHUB_SECRET, githubHeaders } from '../support/webhooks.ts';

test('a trigger that the CLI stores is tested, called, looked at and removed by it', async () => {
  const dataDirectory = tempDirectory();
  const { url } = await startServer(dataDirectory);
  const folder = tempDirectory();
  const options = { dataDirectory, env: { ERRAND_URL: url } };
  const errand = (...args: string[]) => cli(['trigger', ...args], options);
  const [secretFile, payload] = [join(folder, 'secret'), join(folder, 'push.json')];
  writeFileSync(secretFile, `${GITHUB_SECRET}\n`);
  writeFileSync(payload, GITHUB_PUSH.body);
  const created = await errand(
    ...['create', '--name', 'deploy', '--secret-file', secretFile, '--input', '{{ raw }}'],
    ...['--when', 'event=push', '--when', 'body.ref~refs/heads/*', '--env', 'WHO={{ body.pusher.name }}'],
    ...['--', '/bin/sh', '-c', 'echo "$WHO deploys $1"; wc -c', 'sh', '{{ body.after }}'],
  );
  expect(created).toMatchObject({ exit: 0, stderr: '' });
  const [, id = '', path = ''] =
    /^id +(trg_\S+)\naddress +\S+(\/hooks\/\S+)\nsecret +yours\n$/.exec(created.stdout) ?? [];
  expect(path).toBe(`/hooks/${id}`);

  const tested = await errand('test', 'deploy', '--event', 'push', '--payload', payload);
  expect(tested).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^outcome +would be submitted\n/) });
  expect(tested.stdout).toContain(GITHUB_PUSH.after);
  const filtered = await errand('test', 'deploy', '--event', 'issues', '--payload', payload);
  expect(filtered).toMatchObject({ exit: 1, stdout: expect.stringMatching(/filter +does not hold: event=push/) });

  const deliver = (headers: Record<string, string>) =>
    fetch(`${url}${path}`, { method: 'POST', headers, body: GITHUB_PUSH.body });
  const response = await deliver(githubHeaders(GITHUB_PUSH.body));
  const { command } = (await response.json()) as { command: string };
  const logs = await cli(['logs', '-f', command], options);
  expect(logs.stdout.split(/\s+/).join(' ')).toBe(
    `baxterthehacker deploys ${GITHUB_PUSH.after} ${GITHUB_PUSH.body.length} `,
  );
  expect((await deliver({})).status).toBe(404);
  const deliveries = await errand('deliveries', 'deploy');
  expect(deliveries.stdout).toMatch(new RegExp(`refused +- +signature.*\\n.*push +submitted +${command}`));

  expect((await errand('list')).stdout).toMatch(new RegExp(`${id} +deploy +active +github +/bin/sh -c`));
  expect((await errand('show', id)).stdout).toMatch(/when +event=push, body\.ref~refs\/heads\/\*\n/);
  const rotated = await errand('rotate', 'deploy', '--overlap', '1h', '--json');
  expect(JSON.parse(rotated.stdout)).toMatchObject({ secret: expect.stringMatching(/^[0-9a-f]{64}$/) });
  const updated = await errand('update', 'deploy', '--name', 'deploy', '--on-version', '2', '--', 'true');
  expect(updated).toMatchObject({ exit: 0, stdout: 'version 3\n' });
  expect((await errand('pause', 'deploy')).exit).toBe(0);
  expect((await errand('delete', 'deploy')).exit).toBe(0);
  expect(await errand('show', 'deploy')).toMatchObject({ exit: 2, stderr: expect.stringContaining('no trigger') });
});
