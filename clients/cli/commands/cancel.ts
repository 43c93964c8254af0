import type { CommandView, SignalCommand } from '../../../shared/contract/schemas.ts';
import { isFinal } from '../../../shared/domain/command.ts';
import { toSignalName } from '../arguments.ts';
import { resolveId } from '../command-id.ts';
import { type ConnectOptions, withConnection } from '../connect.ts';
import { say, type Terminal, write } from '../terminal.ts';

export interface CancelOptions extends ConnectOptions {
  readonly wait?: boolean;
  readonly json?: boolean;
}

/** Cancels commands; with --wait, resolves once they were seen gone. One that cannot be canceled spares no other. */
export const cancel = (given: readonly string[], options: CancelOptions, terminal: Terminal): Promise<number> =>
  withConnection(options, terminal, async ({ client }) => {
    const canceled: CommandView[] = [];
    const faults: unknown[] = [];
    // All are asked to end before the first is waited for.
    for (const one of given) {
      try {
        canceled.push(await client.cancel(await resolveId(client, one)));
      } catch (error) {
        faults.push(error);
      }
    }
    for (let command of canceled) {
      while (options.wait && !isFinal(command.status)) command = await client.get(command.id, { waitSeconds: 60 });
      const said = isFinal(command.status) ? command.status : 'canceling';
      await write(terminal.stdout, options.json ? `${JSON.stringify(command)}\n` : `${command.id} ${said}\n`);
    }
    // The first is told, as any fault is, by who called.
    for (const fault of faults.slice(1)) say(terminal, (fault as Error).message);
    if (faults.length > 0) throw faults[0];
    return 0;
  });

/** Sends one signal to a running command. */
export const signal = (given: string, name: string, options: CancelOptions, terminal: Terminal): Promise<number> =>
  withConnection(options, terminal, async ({ client }) => {
    // The server knows the list; a name that is not on it comes back as its fault.
    const command = await client.signal(await resolveId(client, given), toSignalName(name) as SignalCommand['signal']);
    if (options.json) await write(terminal.stdout, `${JSON.stringify(command)}\n`);
    return 0;
  });
