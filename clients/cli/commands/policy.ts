import { readFile } from 'node:fs/promises';
import { LIMITS } from '../../../shared/domain/limits.ts';
import type { Explanation, PolicyVersion, PolicyVersionSummary } from '../../sdk/policies.ts';
import { type CommandOptions, readPiped, toWholeSubmission, UsageError } from '../arguments.ts';
import { type ConnectOptions, withConnection } from '../connect.ts';
import { EXIT } from '../exit-codes.ts';
import { ago, table } from '../render.ts';
import { plain, say, type Terminal, write } from '../terminal.ts';

export interface PolicyOptions extends ConnectOptions {
  readonly comment?: string;
  readonly onVersion?: number;
  readonly json?: boolean;
}

export interface ExplainOptions extends CommandOptions, ConnectOptions {
  /** A file with a policy to try. */
  readonly policy?: string;
  readonly role?: string;
  readonly at?: string;
  readonly json?: boolean;
}

/** They run nothing, so a process of their own starts no work. */
const OFFLINE = { work: false } as const;

/** Applies the policy in a file, or in what is piped in. */
export const applyPolicy = async (file: string, options: PolicyOptions, terminal: Terminal): Promise<number> => {
  const { comment, onVersion } = options;
  const policy = await readPolicy(file, terminal);
  return withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    const terms = { ...(comment === undefined ? {} : { comment }), ...(onVersion === undefined ? {} : { onVersion }) };
    await tellApplied(await client.applyPolicy({ policy, ...terms }), options, terminal);
    return 0;
  });
};

/** Applies an earlier version's policy again. */
export const restorePolicy = (version: number, options: PolicyOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    await tellApplied(await client.restorePolicy(version, options.comment), options, terminal);
    return 0;
  });

const tellApplied = async (applied: PolicyVersion, { json }: PolicyOptions, terminal: Terminal): Promise<void> => {
  for (const warning of applied.warnings) say(terminal, warning);
  await write(terminal.stdout, json ? `${JSON.stringify(applied)}\n` : `version ${applied.version} holds\n`);
};

/** Prints a version's policy as it would be applied. */
export const showPolicy = (version: number | undefined, options: PolicyOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    const found = await client.getPolicy(version ?? 'current');
    await write(
      terminal.stdout,
      options.json ? `${JSON.stringify(found)}\n` : `${JSON.stringify(found.policy, null, 2)}\n`,
    );
    return 0;
  });

export const listPolicies = (options: PolicyOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    const versions: PolicyVersionSummary[] = [];
    for await (const version of client.listPolicies()) versions.push(version);
    if (options.json) {
      for (const version of versions) await write(terminal.stdout, `${JSON.stringify(version)}\n`);
      return 0;
    }
    const rows = versions.map(({ version, present, rules, appliedAt, appliedBy, comment, restored }) => [
      `${version}${present ? ' *' : ''}`,
      String(rules),
      ago(appliedAt),
      appliedBy,
      plain(comment ?? (restored === null ? '' : `as ${restored}`)),
    ]);
    await write(terminal.stdout, table(['VERSION', 'RULES', 'APPLIED', 'BY', 'COMMENT'], rows));
    return 0;
  });

/** Says what the policy makes of a command; 0 when it is let in, 1 when it is denied or needs an approval. */
export const explainPolicy = async (
  argv: readonly string[],
  options: ExplainOptions,
  terminal: Terminal,
): Promise<number> => {
  const command = await toWholeSubmission(argv, options, terminal);
  const { policy: file, role, at } = options;
  const policy = file === undefined ? {} : { policy: await readPolicy(file, terminal) };
  return withConnection({ ...options, ...OFFLINE, trySandbox: true }, terminal, async ({ client }) => {
    const instead = { ...(role === undefined ? {} : { role }), ...(at === undefined ? {} : { at }) };
    const explained = await client.explainPolicy({ command, ...policy, ...instead });
    await write(terminal.stdout, options.json ? `${JSON.stringify(explained)}\n` : toText(explained));
    return explained.effect === 'allow' ? 0 : EXIT.denied;
  });
};

const toText = ({ effect, because, programs }: Explanation): string => {
  const rows = programs.map(({ program, arguments: args, effect: own, rules }) => [
    own,
    plain([program, ...args.map((argument) => argument ?? '…')].join(' ')),
    rules.join(', '),
  ]);
  return `${effect}: ${plain(because)}\n\n${table(['EFFECT', 'PROGRAM', 'RULES'], rows)}`;
};

const readPolicy = async (file: string, { stdin }: Pick<Terminal, 'stdin'>): Promise<never> => {
  const bytes =
    file === '-' ? await readPiped(stdin, LIMITS.bodyBytes) : await readFile(file).catch(cannotBeRead(file));
  try {
    return JSON.parse(bytes.toString('utf8')) as never;
  } catch (cause) {
    throw new UsageError(`${file === '-' ? 'What is piped in' : file} is not JSON: ${(cause as Error).message}`);
  }
};

const cannotBeRead = (file: string) => (cause: NodeJS.ErrnoException) => {
  const why = cause.code === 'ENOENT' ? 'no such file' : cause.message;
  throw new Error(`The file ${file} cannot be read: ${why}.`, { cause });
};
