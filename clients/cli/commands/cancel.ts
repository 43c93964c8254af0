import type { SignalCommand } from '../../../shared/contract/schemas.ts';
import { isFinal } from '../../../shared/domain/command.ts';
import { toSignalName } from '../arguments.ts';
import { resolveId } from '../command-id.ts';
import { type ConnectOptions, connect } from '../connect.ts';
import { type Terminal, write } from '../terminal.ts';

export interface CancelOptions extends ConnectOptions {
  readonly wait?: boolean;
  readonly json?: boolean;
}

/** Cancels commands; with --wait, resolves once they were seen gone. */
export const cancel = async (given: readonly string[], options: CancelOptions, terminal: Terminal): Promise<number> => {
  const { client, close } = await connect(options, terminal);
  try {
    for (const one of given) {
      let command = await client.cancel(await resolveId(client, one));
      while (options.wait && !isFinal(command.status)) command = await client.get(command.id, { waitSeconds: 60 });
      const said = isFinal(command.status) ? command.status : 'canceling';
      await write(terminal.stdout, options.json ? `${JSON.stringify(command)}\n` : `${command.id} ${said}\n`);
    }
    return 0;
  } finally {
    await close();
  }
};

/** Sends one signal to a running command. */
export const signal = async (
  given: string,
  name: string,
  options: CancelOptions,
  terminal: Terminal,
): Promise<number> => {
  const { client, close } = await connect(options, terminal);
  try {
    // The server knows the list; a name that is not on it comes back as its fault.
    const command = await client.signal(await resolveId(client, given), toSignalName(name) as SignalCommand['signal']);
    if (options.json) await write(terminal.stdout, `${JSON.stringify(command)}\n`);
    return 0;
  } finally {
    await close();
  }
};
