import type { CommandView } from '../../../shared/contract/schemas.ts';
import { resolveId } from '../command-id.ts';
import { type ConnectOptions, withConnection } from '../connect.ts';
import { commandLine, statusText } from '../render.ts';
import { plain, type Terminal, write } from '../terminal.ts';

export interface ShowOptions extends ConnectOptions {
  readonly json?: boolean;
}

/** Shows all that is known of a command but its output. */
export const show = (given: string, options: ShowOptions, terminal: Terminal): Promise<number> =>
  withConnection(options, terminal, async ({ client }) => {
    const command = await client.get(await resolveId(client, given));
    await write(terminal.stdout, options.json ? `${JSON.stringify(command)}\n` : describe(command, terminal));
    return 0;
  });

const describe = (command: CommandView, terminal: Terminal): string => {
  const { result } = command;
  const labels = Object.entries(command.labels).map(([key, value]) => `${key}=${value}`);
  const rows: [string, string | undefined][] = [
    ['id', command.id],
    ['status', statusText(terminal, command)],
    ['command', commandLine(command)],
    ['target', `${command.target}, isolation ${command.isolation}`],
    ['folder', command.cwd && plain(command.cwd)],
    ['environment', command.envNames.join(' ')],
    ['labels', plain(labels.join(' '))],
    ['submitted', command.submittedAt],
    ['started', command.startedAt ?? undefined],
    ['ended', command.endedAt ?? undefined],
    ['time-out', `${command.timeoutSeconds} s, after at most ${command.queueTtlSeconds} s in the queue`],
    [
      'result',
      result ? `${result.reason}, exit code ${result.exitCode ?? '-'}, signal ${result.signal ?? '-'}` : undefined,
    ],
    ['detail', result?.detail && plain(result.detail)],
    ['took', result?.durationMs == null ? undefined : `${result.durationMs} ms`],
    [
      'used',
      result?.usage &&
        `${result.usage.cpuMs} ms of processor time, ${result.usage.peakMemoryMiB} MiB of memory at most`,
    ],
    ['output', result ? `${result.stdoutBytes} bytes of stdout, ${result.stderrBytes} of stderr` : undefined],
    ['replay of', command.replayOf ?? undefined],
    ...command.attempts
      .filter(() => command.attempts.length > 1)
      .map(({ number, status, startedAt }): [string, string] => [
        `attempt ${number}`,
        `${status} ${startedAt ?? 'never started'}`,
      ]),
  ];
  return rows
    .filter(([, value]) => value)
    .map(([name, value]) => `${name.padEnd(12)}${value}\n`)
    .join('');
};
