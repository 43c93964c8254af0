import type { Command } from 'commander';
import { collect, collectPair } from '../arguments.ts';
import { type Cli, examples, withJson } from './cli.ts';

/** Members, roles and tenants, and what a tenant uses. */
export const addTenancy = ({ program, terminal, onExit, optionsOf }: Cli): void => {
  const tenancy = () => import('../commands/tenancy.ts');
  const scoped = (command: Command): Command =>
    command
      .option('--target <target>', 'only on this target; repeatable', collect)
      .option('--label <key=value>', 'only commands with this label, which is put on them; repeatable', collectPair);
  const member = program.command('member').description('Say who belongs to the tenant, and as what.');
  examples(
    scoped(withJson(member.command('add').argument('<name>', 'for people, to know it by')))
      .description('Add a person or a service account: its id on stdout.')
      .option('--role <role>', 'what it may do; see errand role list')
      .option('--service', 'a program’s account')
      .option('--issuer <url>', 'whose access tokens speak for it; with --subject')
      .option('--subject <subject>', 'as whom, at the issuer')
      .action(async (name, _, command) =>
        onExit(await (await tenancy()).addMember(name, optionsOf(command), terminal)),
      ),
    ['id=$(errand member add ci --service --role operator); errand key create ci --member "$id"'],
  );
  withJson(member.command('list'))
    .description('List the tenant’s members.')
    .action(async (_, command) => onExit(await (await tenancy()).listMembers(optionsOf(command), terminal)));
  scoped(withJson(member.command('change').argument('<id>')))
    .description('Change a member; it holds for its next request.')
    .option('--name <name>', 'for people')
    .option('--role <role>', 'what it may do')
    .option('--disable', 'none of its credentials is good meanwhile')
    .option('--enable', 'they are good again')
    .action(async (id, _, command) => onExit(await (await tenancy()).changeMember(id, optionsOf(command), terminal)));
  member
    .command('remove')
    .argument('<id...>')
    .description('Remove members: none of their keys is good any more.')
    .action(async (ids, _, command) =>
      onExit(await (await tenancy()).removeMembers(ids, optionsOf(command), terminal)),
    );
  const role = program.command('role').description('Say what roles may do.');
  withJson(role.command('list'))
    .description('List the built-in roles and the tenant’s own.')
    .action(async (_, command) => onExit(await (await tenancy()).listRoles(optionsOf(command), terminal)));
  examples(
    withJson(role.command('put').argument('<name>', 'lower-case letters, digits and -'))
      .description('Make or change a role of the tenant’s own.')
      .option('--permission <name>', 'what it may do; repeatable', collect)
      .option('--description <text>', 'for people')
      .action(async (name, _, command) => onExit(await (await tenancy()).putRole(name, optionsOf(command), terminal))),
    ['errand role put releaser --permission commands:submit --permission commands:read'],
  );
  role
    .command('remove')
    .argument('<name>')
    .description('Remove a role; whoever has it may do nothing any more.')
    .action(async (name, _, command) => onExit(await (await tenancy()).removeRole(name, optionsOf(command), terminal)));
  const tenant = program.command('tenant').description('Make, change and remove tenants, as the installation’s owner.');
  const limited = (command: Command): Command =>
    command.option(
      '--limit <name=amount>',
      'such as commandsPerDay=1000, instead of all it has; repeatable',
      collectPair,
    );
  limited(withJson(tenant.command('add').argument('<id>', 'lower-case letters, digits and -')))
    .description('Make a tenant with its first admin: that one’s key on stdout, once.')
    .option('--name <name>', 'for people (default: its id)')
    .option('--admin <name>', 'the first admin’s name')
    .action(async (id, _, command) => onExit(await (await tenancy()).addTenant(id, optionsOf(command), terminal)));
  withJson(tenant.command('list'))
    .description('List the tenants.')
    .action(async (_, command) => onExit(await (await tenancy()).listTenants(optionsOf(command), terminal)));
  limited(withJson(tenant.command('change').argument('<id>')))
    .description('Rename a tenant, limit it, suspend it or let it in again.')
    .option('--name <name>', 'for people')
    .option('--suspend', 'none of its credentials is good meanwhile')
    .option('--resume', 'they are good again')
    .action(async (id, _, command) => onExit(await (await tenancy()).changeTenant(id, optionsOf(command), terminal)));
  withJson(tenant.command('remove').argument('<id>'))
    .description('Remove a tenant with all that it stored; its audit log stays, and its id is never used again.')
    .option('--yes', 'without asking for the id once more')
    .action(async (id, _, command) => onExit(await (await tenancy()).removeTenant(id, optionsOf(command), terminal)));
  withJson(program.command('usage'))
    .description('Say what the tenant used today, and its limits.')
    .action(async (_, command) => onExit(await (await tenancy()).usage(optionsOf(command), terminal)));
};
