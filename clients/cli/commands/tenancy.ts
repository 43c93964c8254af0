import { createInterface } from 'node:readline/promises';
import type { Client } from '../../sdk/client.ts';
import type { Member, Role, Tenant } from '../../sdk/tenancy.ts';
import { scopeOf, UsageError } from '../arguments.ts';
import { type ConnectOptions, withConnection } from '../connect.ts';
import { ago, table } from '../render.ts';
import { plain, type Terminal, write } from '../terminal.ts';

export interface TenancyOptions extends ConnectOptions {
  readonly json?: boolean;
}

export interface MemberOptions extends TenancyOptions {
  readonly role?: string;
  readonly service?: boolean;
  readonly target?: string[];
  readonly label?: Record<string, string>;
  readonly issuer?: string;
  readonly subject?: string;
}

export interface ChangeMemberOptions extends MemberOptions {
  readonly name?: string;
  readonly disable?: boolean;
  readonly enable?: boolean;
}

export interface RoleOptions extends TenancyOptions {
  readonly permission?: string[];
  readonly description?: string;
}

export interface TenantOptions extends TenancyOptions {
  readonly name?: string;
  readonly admin?: string;
  readonly suspend?: boolean;
  readonly resume?: boolean;
  readonly yes?: boolean;
  readonly limit?: Record<string, string>;
}

/** They run nothing, so a process of their own starts no work. */
const asked = async <T>(options: TenancyOptions, terminal: Terminal, ask: (client: Client) => Promise<T>): Promise<T> =>
  withConnection({ ...options, work: false }, terminal, async ({ client }) => {
    return await ask(client);
  });

/** The answer on stdout: as it is, or what of it is of use in a script. */
const tell = async ({ json }: TenancyOptions, { stdout }: Terminal, answer: unknown, text: string): Promise<number> => {
  await write(stdout, json ? `${JSON.stringify(answer)}\n` : `${plain(text)}\n`);
  return 0;
};

const tellAll = async <T>(
  { json }: TenancyOptions,
  { stdout }: Terminal,
  items: AsyncIterable<T> | Iterable<T>,
  head: readonly string[],
  rowOf: (item: T) => readonly string[],
): Promise<number> => {
  const rows: (readonly string[])[] = [];
  for await (const item of items) {
    if (json) await write(stdout, `${JSON.stringify(item)}\n`);
    else rows.push(rowOf(item).map(plain));
  }
  if (!json) await write(stdout, table(head, rows));
  return 0;
};

/** Adds a person or a service account, and prints its id. */
export const addMember = (name: string, options: MemberOptions, terminal: Terminal): Promise<number> =>
  asked(options, terminal, async (client) => {
    const { role, service, issuer, subject } = options;
    if (role === undefined) throw new UsageError('Say what it may do: --role; errand role list has those there are.');
    if ((issuer === undefined) !== (subject === undefined)) {
      throw new UsageError('An identity is both: --issuer and --subject.');
    }
    const identity = issuer !== undefined && subject !== undefined ? { identity: { issuer, subject } } : {};
    const kind = service ? ('service-account' as const) : ('person' as const);
    const member = await client.addMember({ name, kind, role, ...scopeOf(options), ...identity });
    return tell(options, terminal, member, member.id);
  });

export const listMembers = (options: TenancyOptions, terminal: Terminal): Promise<number> =>
  asked(options, terminal, (client) =>
    tellAll(
      options,
      terminal,
      client.listMembers(),
      ['ID', 'ROLE', 'KIND', 'STATE', 'ADDED', 'NAME'],
      (member: Member) => [
        member.id,
        member.role,
        member.kind,
        member.disabled ? 'disabled' : 'good',
        ago(member.createdAt),
        member.name,
      ],
    ),
  );

export const changeMember = (id: string, options: ChangeMemberOptions, terminal: Terminal): Promise<number> =>
  asked(options, terminal, async (client) => {
    const { name, role, disable, enable } = options;
    if (disable && enable) throw new UsageError('Either --disable or --enable.');
    const member = await client.changeMember(id, {
      ...(name === undefined ? {} : { name }),
      ...(role === undefined ? {} : { role }),
      ...scopeOf(options),
      ...(disable || enable ? { disabled: disable === true } : {}),
    });
    return tell(options, terminal, member, `${member.id} ${member.role}${member.disabled ? ' disabled' : ''}`);
  });

export const removeMembers = (ids: readonly string[], options: TenancyOptions, terminal: Terminal): Promise<number> =>
  asked(options, terminal, async (client) => {
    for (const id of ids) await client.removeMember(id);
    return 0;
  });

export const listRoles = (options: TenancyOptions, terminal: Terminal): Promise<number> =>
  asked(options, terminal, async (client) =>
    tellAll(options, terminal, await client.listRoles(), ['NAME', 'KIND', 'PERMISSIONS'], (role: Role) => [
      role.name,
      role.builtIn ? 'built-in' : 'own',
      role.permissions.join(' '),
    ]),
  );

export const putRole = (name: string, options: RoleOptions, terminal: Terminal): Promise<number> =>
  asked(options, terminal, async (client) => {
    const { permission = [], description } = options;
    // Which permissions there are is the server's to say.
    const permissions = permission as never;
    const role = await client.putRole(name, { permissions, ...(description === undefined ? {} : { description }) });
    return tell(options, terminal, role, `${role.name}: ${role.permissions.join(' ')}`);
  });

export const removeRole = (name: string, options: TenancyOptions, terminal: Terminal): Promise<number> =>
  asked(options, terminal, async (client) => {
    await client.removeRole(name);
    return 0;
  });

/** Makes a tenant: its admin's key alone on stdout, what it is on stderr. */
export const addTenant = (id: string, options: TenantOptions, terminal: Terminal): Promise<number> =>
  asked(options, terminal, async (client) => {
    const { name = id, admin } = options;
    const made = await client.addTenant({ id, name, ...(admin === undefined ? {} : { admin }), ...limitsOf(options) });
    if (!options.json)
      await write(terminal.stderr, `The tenant ${id}, and the key of its admin, shown here and never again:\n`);
    return tell(options, terminal, made, made.key);
  });

export const listTenants = (options: TenancyOptions, terminal: Terminal): Promise<number> =>
  asked(options, terminal, (client) =>
    tellAll(options, terminal, client.listTenants(), ['ID', 'STATE', 'ADDED', 'LIMITS', 'NAME'], (tenant: Tenant) => [
      tenant.id,
      tenant.state,
      ago(tenant.createdAt),
      Object.entries(tenant.limits)
        .map(([limit, amount]) => `${limit}=${amount}`)
        .join(' '),
      tenant.name,
    ]),
  );

export const changeTenant = (id: string, options: TenantOptions, terminal: Terminal): Promise<number> =>
  asked(options, terminal, async (client) => {
    const { name, suspend, resume } = options;
    if (suspend && resume) throw new UsageError('Either --suspend or --resume.');
    const tenant = await client.changeTenant(id, {
      ...(name === undefined ? {} : { name }),
      ...(suspend || resume ? { suspended: suspend === true } : {}),
      ...limitsOf(options),
    });
    return tell(options, terminal, tenant, `${tenant.id} ${tenant.state}`);
  });

/** Asks a person for the id once more: nobody brings back what it stored. */
export const removeTenant = async (id: string, options: TenantOptions, terminal: Terminal): Promise<number> => {
  if (!options.yes) await confirm(id, terminal);
  return asked(options, terminal, async (client) => {
    const tenant = await client.removeTenant(id);
    return tell(options, terminal, tenant, `${tenant.id} ${tenant.state}`);
  });
};

const confirm = async (id: string, { stdin, stderr }: Terminal): Promise<void> => {
  if (!stdin.isTTY) throw new UsageError('It cannot be undone: say --yes where nobody can be asked.');
  const asking = createInterface({ input: stdin, output: stderr });
  try {
    const question = `All that ${plain(id)} has is erased: commands, output, members, keys, secrets.\nType its id to go on: `;
    if ((await asking.question(question)).trim() !== id)
      throw new UsageError('That is not its id: nothing was removed.');
  } finally {
    asking.close();
  }
};

/** Which limits there are is the server's to say. */
const limitsOf = ({ limit }: TenantOptions): { readonly limits?: Record<string, number> } =>
  limit ? { limits: Object.fromEntries(Object.entries(limit).map(([name, amount]) => [name, Number(amount)])) } : {};

/** What the tenant used today, and its limits. */
export const usage = (options: TenancyOptions, terminal: Terminal): Promise<number> =>
  asked(options, terminal, async (client) => {
    const used = await client.usage();
    if (options.json) return tell(options, terminal, used, '');
    const { limits } = used;
    const row = (what: string, amount: number, most: number | undefined) => [what, String(amount), String(most ?? '-')];
    const rows = [
      row('unfinished commands', used.unfinishedCommands, limits.unfinishedCommands),
      row('commands today', used.commands, limits.commandsPerDay),
      row('CPU seconds today', Math.round(used.cpuSeconds), limits.cpuSecondsPerDay),
      row('bytes written today', used.outputBytes, limits.outputBytesPerDay),
    ];
    await write(terminal.stdout, table(['WHAT', 'USED', 'MOST'], rows));
    return 0;
  });
