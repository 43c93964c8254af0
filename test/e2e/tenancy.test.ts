import { expect, test } from 'vitest';
import { cli, startServer } from '../support/cli.ts';
import { tempDirectory } from '../support/temp-directory.ts';

test('an owner makes a tenant, its admin a role and members, and each may do what it was given', async () => {
  const dataDirectory = tempDirectory();
  const { url } = await startServer(dataDirectory);
  const asOwner = (...args: string[]) => cli(args, { dataDirectory });
  const as =
    (key: string) =>
    (...args: string[]) =>
      cli(args, { dataDirectory, env: { ERRAND_URL: url, ERRAND_API_KEY: key } });

  const made = await asOwner('tenant', 'add', 'acme', '--name', 'Acme', '--limit', 'commandsPerDay=3');
  expect(made.exit).toBe(0);
  expect(made.stdout).toMatch(/^errand_acme_/);
  expect((await asOwner('tenant', 'list')).stdout).toMatch(/acme +good .* commandsPerDay=3 +Acme/);
  const admin = as(made.stdout.trim());

  expect((await admin('role', 'put', 'reader', '--permission', 'commands:read')).stdout).toBe(
    'reader: commands:read\n',
  );
  expect((await admin('role', 'put', 'reader', '--permission', 'nonsense')).stderr).toContain('/permissions/0');
  expect((await admin('role', 'list')).stdout).toMatch(/reader +own +commands:read/);
  const id = (await admin('member', 'add', 'ci', '--service', '--role', 'reader')).stdout.trim();
  expect(id).toMatch(/^mem_[0-9a-f]{16}$/);
  expect((await admin('member', 'add', 'x')).stderr).toContain('--role');
  const ci = as((await admin('key', 'create', 'ci', '--member', id)).stdout.trim());
  expect((await ci('run', '--', 'true')).stderr).toContain('commands:submit');
  expect((await admin('member', 'change', id, '--role', 'operator')).exit).toBe(0);
  expect((await ci('run', '--', 'true')).exit).toBe(0);
  expect((await admin('usage')).stdout).toMatch(/commands today +1 +3/);

  expect((await admin('member', 'change', id, '--disable')).stdout).toContain('disabled');
  expect((await ci('whoami')).exit).toBe(125);
  expect((await admin('member', 'list')).stdout).toMatch(new RegExp(`${id} +operator +service-account +disabled`));
  expect((await admin('member', 'remove', id)).exit).toBe(0);
  expect((await admin('role', 'remove', 'reader')).exit).toBe(0);
  expect((await admin('tenant', 'add', 'other')).stderr).toContain('tenants:manage');
  expect((await asOwner('tenant', 'change', 'acme', '--suspend')).stdout).toBe('acme suspended\n');
  expect((await admin('whoami')).exit).toBe(125);
  expect((await asOwner('tenant', 'change', 'acme', '--resume')).stdout).toBe('acme good\n');
  expect((await admin('whoami')).exit).toBe(0);
});
