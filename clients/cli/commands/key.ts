import type { ApiKey } from '../../sdk/access.ts';
import { scopeOf } from '../arguments.ts';
import { type ConnectOptions, withConnection } from '../connect.ts';
import { ago, table } from '../render.ts';
import { plain, type Terminal, write } from '../terminal.ts';

export interface KeyOptions extends ConnectOptions {
  readonly json?: boolean;
}

export interface CreateKeyOptions extends KeyOptions {
  readonly member?: string;
  readonly permission?: string[];
  readonly target?: string[];
  readonly label?: Record<string, string>;
  /** Seconds from now. */
  readonly expires?: number;
}

export interface RotateKeyOptions extends KeyOptions {
  /** Seconds. */
  readonly overlap?: number;
  readonly expires?: number;
}

/** Says who calls and what it may do. */
export const whoami = (options: KeyOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, work: false }, terminal, async ({ client }) => {
    const who = await client.whoami();
    const { id, tenant, role, permissions } = who;
    const text = `${id} of ${tenant}, ${role}: ${permissions.join(' ')}`;
    await write(terminal.stdout, `${options.json ? JSON.stringify(who) : plain(text)}\n`);
    return 0;
  });

/** Makes a key: its text alone on stdout, what it is on stderr. */
export const createKey = (name: string, options: CreateKeyOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, work: false }, terminal, async ({ client }) => {
    const { member, permission, expires } = options;
    const made = await client.createKey({
      name,
      ...(member === undefined ? {} : { member }),
      // Which there are is the server's to say.
      ...(permission ? { permissions: permission as never } : {}),
      ...scopeOf(options),
      ...expiring(expires),
    });
    return await tell(made, options, terminal);
  });

/** Makes a key that replaces another. */
export const rotateKey = (id: string, options: RotateKeyOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, work: false }, terminal, async ({ client }) => {
    const { overlap, expires } = options;
    const terms = { ...(overlap === undefined ? {} : { overlapSeconds: overlap }), ...expiring(expires) };
    return await tell(await client.rotateKey(id, terms), options, terminal);
  });

export const revokeKeys = (ids: readonly string[], options: KeyOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, work: false }, terminal, async ({ client }) => {
    for (const id of ids) await client.revokeKey(id);
    return 0;
  });

export const listKeys = (options: KeyOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, work: false }, terminal, async ({ client }) => {
    const rows: string[][] = [];
    for await (const key of client.listKeys()) {
      if (options.json) await write(terminal.stdout, `${JSON.stringify(key)}\n`);
      rows.push([key.id, state(key), key.lastUsedAt ? ago(key.lastUsedAt) : 'never', key.member, plain(key.name)]);
    }
    if (!options.json) await write(terminal.stdout, table(['ID', 'STATE', 'USED', 'MEMBER', 'NAME'], rows));
    return 0;
  });

const state = ({ revokedAt, expiresAt }: ApiKey): string => {
  if (revokedAt) return 'revoked';
  if (!expiresAt) return 'good';
  return Date.parse(expiresAt) <= Date.now() ? 'expired' : `good until ${expiresAt.slice(0, 16)}Z`;
};

const expiring = (seconds: number | undefined): { readonly expiresAt?: string } =>
  seconds === undefined ? {} : { expiresAt: new Date(Date.now() + seconds * 1_000).toISOString() };

const tell = async (
  made: ApiKey & { readonly key: string },
  { json }: KeyOptions,
  { stdout, stderr }: Terminal,
): Promise<number> => {
  if (json) {
    await write(stdout, `${JSON.stringify(made)}\n`);
    return 0;
  }
  await write(stderr, `The key ${made.id}. It is shown here and never again:\n`);
  await write(stdout, `${made.key}\n`);
  return 0;
};
