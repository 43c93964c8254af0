import { resolveId } from '../command-id.ts';
import { type ConnectOptions, withConnection } from '../connect.ts';
import { type Terminal, write } from '../terminal.ts';

export interface MoveOptions extends ConnectOptions {
  readonly to: string;
  readonly json?: boolean;
}

/** Has a command's next attempt on another target. */
export const move = (given: string, options: MoveOptions, terminal: Terminal): Promise<number> =>
  withConnection(options, terminal, async ({ client }) => {
    const command = await client.move(await resolveId(client, given), options.to);
    await write(terminal.stdout, options.json ? `${JSON.stringify(command)}\n` : `${command.id} ${command.status}\n`);
    return 0;
  });
