import type { CommandView } from '../../shared/contract/schemas.ts';
import type { Client } from '../sdk/client.ts';
import type { CommandEvent } from '../sdk/events.ts';
import type { FollowedEvent, FollowOptions } from '../sdk/follow.ts';
import { isBrokenPipe, progressLine, type Terminal, write } from './terminal.ts';

export interface ShowOptions extends FollowOptions {
  readonly json?: boolean | undefined;
  /** Ends the following before the end event, when it says so. */
  readonly until?: (event: CommandEvent) => boolean;
}

/** What the reader of our output did to the following. */
export type Followed =
  | { readonly kind: 'ended'; readonly command: CommandView }
  | { readonly kind: 'left' | 'broken-pipe' };

/** Shows a command's output as it comes, stdout to stdout and stderr to stderr, byte for byte. */
export const showOutput = async (
  client: Client,
  id: string,
  terminal: Terminal,
  options: ShowOptions,
): Promise<Followed> => {
  const { json, until, ...follow } = options;
  const progress = progressLine(terminal);
  try {
    for await (const event of client.follow(id, { ...follow, onBreak: () => progress.show('reconnecting …') })) {
      if (event.type === 'stdout' || event.type === 'stderr') progress.clear();
      if (json) await write(terminal.stdout, toJsonLine(event));
      else if (event.type === 'stdout' || event.type === 'stderr') await write(terminal[event.type], event.bytes);
      if (event.type === 'status' && (event.status === 'queued' || event.status === 'starting'))
        progress.show(`${event.status} …`);
      else if (event.type === 'status') progress.clear();
      if (event.type === 'end') return { kind: 'ended', command: event.command };
      if (until?.(event)) return { kind: 'left' };
    }
    return { kind: 'left' };
  } catch (error) {
    if (isBrokenPipe(error)) return { kind: 'broken-pipe' };
    throw error;
  } finally {
    progress.clear();
  }
};

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** One event as one line: text where the bytes are text, else base64. */
const toJsonLine = ({ id: _, ...event }: FollowedEvent): string => {
  if (event.type !== 'stdout' && event.type !== 'stderr') return `${JSON.stringify(event)}\n`;
  const { bytes, ...rest } = event;
  try {
    return `${JSON.stringify({ ...rest, text: strictUtf8.decode(bytes) })}\n`;
  } catch {
    return `${JSON.stringify({ ...rest, base64: Buffer.from(bytes).toString('base64') })}\n`;
  }
};
