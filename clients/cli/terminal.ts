import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { styleText } from 'node:util';

/** What a command of the CLI talks to; tests hand in their own. */
export interface Terminal {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
}

/** Writes bytes and waits until there is room for more. Rejects with EPIPE when nobody reads any longer. */
export const write = async (stream: Writable, bytes: Uint8Array | string): Promise<void> => {
  if (stream.errored) throw stream.errored;
  if (!stream.write(bytes)) await once(stream, 'drain');
};

/** Whether the one who reads has gone, as `head` does when it has enough. */
export const isBrokenPipe = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EPIPE';

type Style = Parameters<typeof styleText>[0];

/** Colours a text if its stream takes colours (https://no-color.org, FORCE_COLOR, TERM=dumb, a TTY). */
export const paint = ({ env }: Terminal, stream: NodeJS.WriteStream, style: Style, text: string): string => {
  const forced = env['FORCE_COLOR'];
  const wanted =
    forced === undefined
      ? stream.isTTY && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
      : !['0', 'false'].includes(forced);
  return wanted ? styleText(style, text, { validateStream: false }) : text;
};

const UNSAFE = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

/** Text that others wrote, made harmless for a terminal: escape sequences and direction changes are shown, not obeyed. */
export const plain = (text: string): string => text.replaceAll(UNSAFE, escapeCharacter);

const escapeCharacter = (character: string): string =>
  ({ '\n': '\\n', '\t': '\\t', '\r': '\\r' })[character] ??
  `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** What takes the progress line away that stands on a stream now. */
const eraseByStream = new WeakMap<NodeJS.WriteStream, () => void>();

/** One line on stderr for a person: what happened, and what to do. */
export const say = ({ stderr }: Pick<Terminal, 'stderr'>, message: string): void => {
  eraseByStream.get(stderr)?.();
  stderr.write(`errand: ${plain(message)}\n`);
};

const DRAW_EVERY_MS = 200;
/** A command that starts at once needs no progress line. */
const FIRST_DRAW_MS = 300;

/** A line on a TTY's stderr that says what is waited for, and is gone without a trace. */
export const progressLine = ({ stderr, env }: Pick<Terminal, 'stderr' | 'env'>) => {
  let text = '';
  let since = 0;
  let drawn = false;
  let timer: NodeJS.Timeout | undefined;
  const draw = (): void => {
    stderr.write(`\r\u001b[K${text} ${Math.floor((Date.now() - since) / 1_000)} s`);
    drawn = true;
    timer = setTimeout(draw, DRAW_EVERY_MS);
  };
  const erase = (): void => {
    if (drawn) stderr.write('\r\u001b[K');
    drawn = false;
  };
  eraseByStream.set(stderr, erase);
  return {
    show(next: string): void {
      if (!stderr.isTTY || env['TERM'] === 'dumb' || text === next) return;
      text = next;
      since = Date.now();
      timer ??= setTimeout(draw, FIRST_DRAW_MS);
    },
    clear(): void {
      clearTimeout(timer);
      timer = undefined;
      text = '';
      erase();
    },
  };
};
