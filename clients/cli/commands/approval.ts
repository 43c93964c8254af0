import type { Approval } from '../../sdk/policies.ts';
import { type ConnectOptions, withConnection } from '../connect.ts';
import { ago, commandLine, table } from '../render.ts';
import { plain, type Terminal, write } from '../terminal.ts';

export interface ApprovalOptions extends ConnectOptions {
  readonly all?: boolean;
  readonly comment?: string;
  readonly json?: boolean;
}

/** They run nothing, so a process of their own starts no work. */
const OFFLINE = { work: false } as const;

/** Lists what waits for an answer, the last asked for first. */
export const listApprovals = (options: ApprovalOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    const found: Approval[] = [];
    for await (const one of client.listApprovals()) {
      if (options.all || one.state === 'pending') found.push(one);
    }
    found.sort((a, b) => (a.requestedAt < b.requestedAt ? 1 : -1));
    if (options.json) {
      for (const one of found) await write(terminal.stdout, `${JSON.stringify(one)}\n`);
      return 0;
    }
    const rows = found.map(({ id, state, requestedAt, requestedBy, request }) => [
      id,
      state,
      ago(requestedAt),
      requestedBy,
      plain(request.target),
      lineOf(request),
    ]);
    await write(terminal.stdout, table(['ID', 'STATE', 'ASKED', 'BY', 'TARGET', 'COMMAND'], rows));
    return 0;
  });

/** Shows all of what is asked. */
export const showApproval = (id: string, options: ApprovalOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    const found = await client.getApproval(id);
    await write(terminal.stdout, options.json ? `${JSON.stringify(found)}\n` : `${plainLines(found)}\n`);
    return 0;
  });

/** Approves of each, or rejects it. */
export const answerApprovals = (
  ids: readonly string[],
  approve: boolean,
  options: ApprovalOptions,
  terminal: Terminal,
): Promise<number> =>
  withConnection({ ...options, ...OFFLINE }, terminal, async ({ client }) => {
    for (const id of ids) {
      const comment = options.comment === undefined ? {} : { comment: options.comment };
      const answered = await client.answerApproval(id, { approve, ...comment });
      await write(
        terminal.stdout,
        options.json ? `${JSON.stringify(answered)}\n` : `${answered.id} ${answered.state}\n`,
      );
    }
    return 0;
  });

type Asked = Approval['request'];
const lineOf = ({ argv, script, shell }: Asked): string =>
  plain(
    commandLine({
      ...(argv ? { argv } : {}),
      ...(script === undefined ? {} : { script }),
      ...(shell === undefined ? {} : { shell }),
    }),
  );

/** Line by line, so that nothing of a script can look like a line of ours. */
const plainLines = (approval: Approval): string => JSON.stringify(approval, null, 2).split('\n').map(plain).join('\n');
