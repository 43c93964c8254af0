import { expect, test } from 'vitest';
import { cli, startCli, startServer } from '../support/cli.ts';
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

test('a tenant is removed by whoever says so twice: the key of its admin is not good from then on', async () => {
  const dataDirectory = tempDirectory();
  const { url } = await startServer(dataDirectory);
  const asOwner = (...args: string[]) => cli(args, { dataDirectory });
  const keyOf = async (id: string) => (await asOwner('tenant', 'add', id)).stdout.trim();
  const isGood = async (key: string) =>
    (await cli(['whoami'], { dataDirectory, env: { ERRAND_URL: url, ERRAND_API_KEY: key } })).exit === 0;
  const [acme, other] = [await keyOf('acme'), await keyOf('other')];

  // Nobody can be asked.
  expect(await asOwner('tenant', 'remove', 'acme')).toMatchObject({
    exit: 2,
    stderr: expect.stringContaining('--yes'),
  });
  const asked = startCli(['tenant', 'remove', 'acme'], { dataDirectory, terminal: true, stdin: 'pipe' });
  await asked.says('Type its id');
  asked.process.stdin?.write('acm\n');
  expect(await asked.exit).toBe(2);
  expect(await isGood(acme)).toBe(true);

  const sure = startCli(['tenant', 'remove', 'acme'], { dataDirectory, terminal: true, stdin: 'pipe' });
  await sure.says('Type its id');
  sure.process.stdin?.write('acme\n');
  expect(await sure.exit).toBe(0);
  expect(await isGood(acme)).toBe(false);
  expect((await asOwner('tenant', 'list')).stdout).toMatch(/acme +removing/);
  expect((await asOwner('tenant', 'add', 'acme')).stderr).toContain('never used again');

  expect((await asOwner('tenant', 'remove', 'other', '--yes')).stdout).toBe('other removing\n');
  expect(await isGood(other)).toBe(false);
  expect((await asOwner('tenant', 'remove', 'default', '--yes')).stderr).toContain('owner');
});
