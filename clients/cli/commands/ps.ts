import type { CommandSummary } from '../../../shared/contract/schemas.ts';
import type { Client } from '../../sdk/client.ts';
import { type ConnectOptions, withConnection } from '../connect.ts';
import { ago, commandLine, statusText, table } from '../render.ts';
import { type Terminal, write } from '../terminal.ts';

export interface PsOptions extends ConnectOptions {
  readonly all?: boolean;
  readonly status?: CommandSummary['status'];
  readonly label?: string;
  readonly target?: string;
  readonly limit?: number;
  readonly json?: boolean;
}

/** Lists commands, newest first: those that are not finished, or all. */
export const ps = (options: PsOptions, terminal: Terminal): Promise<number> =>
  withConnection(options, terminal, async ({ client }) => {
    const commands = await collect(client, options);
    if (options.json) {
      for (const command of commands) await write(terminal.stdout, `${JSON.stringify(command)}\n`);
      return 0;
    }
    const rows = commands.map((command) => [
      command.id,
      statusText(terminal, command),
      ago(command.submittedAt),
      command.target,
      commandLine(command),
    ]);
    const width = terminal.stdout.isTTY ? terminal.stdout.columns : undefined;
    await write(terminal.stdout, table(['ID', 'STATUS', 'SUBMITTED', 'TARGET', 'COMMAND'], rows, width));
    return 0;
  });

const UNFINISHED = ['running', 'starting', 'queued'] as const;

const collect = async (
  client: Client,
  { all, status, label, target, limit = 50 }: PsOptions,
): Promise<CommandSummary[]> => {
  const statuses = status ? [status] : all ? [undefined] : UNFINISHED;
  const found: CommandSummary[] = [];
  for (const wanted of statuses) {
    for await (const command of client.list({ status: wanted, label, target, limit })) found.push(command);
  }
  return found.sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, limit);
};
