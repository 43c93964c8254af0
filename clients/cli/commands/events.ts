import type { EventType } from '../../../shared/domain/events.ts';
import type { ErrandEvent } from '../../sdk/event-log.ts';
import { resolveId } from '../command-id.ts';
import { type ConnectOptions, connect } from '../connect.ts';
import { EXIT } from '../exit-codes.ts';
import { isBrokenPipe, paint, plain, progressLine, type Terminal, write } from '../terminal.ts';

export interface EventsOptions extends ConnectOptions {
  readonly follow?: boolean;
  readonly type?: readonly EventType[];
  readonly command?: string;
  readonly after?: number;
  readonly limit?: number;
  readonly json?: boolean;
}

/** Shows what happened, the oldest first, or with --follow what happens, until it is left. */
export const events = async (options: EventsOptions, terminal: Terminal): Promise<number> => {
  const { follow = false, type: types, after, limit = Number.POSITIVE_INFINITY, json } = options;
  const { client, close } = await connect({ ...options, work: false }, terminal);
  const left = new AbortController();
  const leave = () => left.abort();
  const progress = progressLine(terminal);
  process.once('SIGINT', leave);
  try {
    const command = options.command === undefined ? undefined : await resolveId(client, options.command);
    const onBreak = () => progress.show('reconnecting …');
    let shown = 0;
    if (shown < limit) {
      for await (const event of client.events({ follow, types, command, after, signal: left.signal, onBreak })) {
        progress.clear();
        await write(terminal.stdout, json ? `${JSON.stringify(event)}\n` : toLine(terminal, event));
        if (++shown >= limit) break;
      }
    }
    return left.signal.aborted ? EXIT.interrupted : 0;
  } catch (error) {
    if (isBrokenPipe(error)) return EXIT.brokenPipe;
    throw error;
  } finally {
    progress.clear();
    process.removeListener('SIGINT', leave);
    await close();
  }
};

const COLOURS: Readonly<Record<string, 'red' | 'yellow'>> = {
  'security.alert': 'red',
  'access.forbidden': 'yellow',
  'command.denied': 'yellow',
};
const LONGEST_TYPE = 'command.cancel_requested'.length;

/** One event as one line: its number, when, what, about what, and what is worth knowing of it. */
const toLine = (terminal: Terminal, { sequence, time, type, subject, data }: ErrandEvent): string => {
  const { id: _, actor, ...facts } = data;
  const by = (actor as { readonly id?: string } | undefined)?.id;
  const words = Object.entries({ ...(by === undefined ? {} : { actor: by }), ...facts })
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const colour = COLOURS[type];
  const padded = type.padEnd(LONGEST_TYPE);
  const name = colour ? paint(terminal, terminal.stdout, colour, padded) : padded;
  return `${String(sequence).padEnd(6)}  ${time}  ${name}  ${plain([subject, ...words].join(' '))}\n`;
};
