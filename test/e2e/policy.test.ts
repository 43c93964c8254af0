import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cli, startServer } from '../support/cli.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const POLICY = {
  default: 'deny',
  rules: [
    { name: 'tools', effect: 'allow', programs: ['echo', 'cat'] },
    { name: 'loud', effect: 'approval', programs: ['echo'], anyArgument: ['loud'] },
  ],
};

test('a policy applied by the CLI decides what it runs, says why, and lets somebody else approve', async () => {
  const dataDirectory = tempDirectory();
  const { url } = await startServer(dataDirectory);
  const errand = (...args: string[]) => cli(args, { dataDirectory });
  const file = join(dataDirectory, 'policy.json');
  writeFileSync(file, JSON.stringify(POLICY));
  expect(await errand('policy', 'apply', file, '--comment', 'first')).toMatchObject({
    exit: 0,
    stdout: 'version 1 holds\n',
  });
  expect(await errand('run', '--', 'echo', 'hi')).toMatchObject({ exit: 0, stdout: 'hi\n' });
  const denied = await errand('run', '--', 'ls');
  expect(denied.exit).toBe(125);
  expect(denied.stderr).toContain('No rule applies to "ls"');
  const explained = await errand('policy', 'explain', '--', 'ls');
  expect(explained.exit).toBe(1);
  expect(explained.stdout).toMatch(/^deny: No rule applies/);

  const { stdout: made } = await errand('key', 'create', 'k', '--json');
  expect(JSON.parse(made)).toHaveProperty('key');
  const asked = await errand('run', '--', 'echo', 'loud');
  expect(asked.exit).toBe(125);
  const [id = ''] = /apr_[0-9a-f]{32}/.exec(asked.stderr) ?? [];
  expect((await errand('approval', 'list')).stdout).toMatch(new RegExp(`${id} +pending .* echo loud`));
  // Not by whoever asked.
  expect((await errand('approval', 'approve', id)).stderr).toContain('somebody else');
  const admin = (await (
    await fetch(`${url}/v1/members`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'b', role: 'admin' }),
    })
  ).json()) as { id: string };
  const { stdout } = await errand('key', 'create', 'b', '--member', admin.id, '--json');
  const asAdmin = { dataDirectory, env: { ERRAND_URL: url, ERRAND_API_KEY: JSON.parse(stdout).key as string } };
  expect(await cli(['approval', 'approve', id, '--comment', 'once'], asAdmin)).toMatchObject({
    exit: 0,
    stdout: `${id} approved\n`,
  });
  expect(await errand('run', '--', 'echo', 'loud')).toMatchObject({ exit: 0, stdout: 'loud\n' });
  expect((await errand('run', '--', 'echo', 'loud')).exit).toBe(125);

  writeFileSync(file, '{"default": "allow", "rules": []}');
  expect((await errand('policy', 'apply', file)).exit).toBe(0);
  expect((await errand('policy', 'restore', '1')).stdout).toBe('version 3 holds\n');
  expect((await errand('policy', 'list')).stdout).toMatch(/3 \* .* as 1/);
  writeFileSync(file, '{"default":');
  expect(await errand('policy', 'apply', file)).toMatchObject({
    exit: 2,
    stderr: expect.stringContaining('is not JSON'),
  });
});
