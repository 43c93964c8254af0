import { Readable } from 'node:stream';
import type { Deps } from '../app/deps.ts';
import type { FollowEvent, Position } from '../app/follow-output.ts';
import type { OpenOutput } from '../app/open-output.ts';
import type { Submitted } from '../app/submit-command.ts';
import { toView } from '../app/view.ts';
import { waitForCommand } from '../app/wait-for-command.ts';
import { isFinal } from '../domain/command.ts';
import { AppError, type Fault } from '../domain/errors.ts';
import { LIMITS } from '../domain/limits.ts';
import type { Reply } from './http-function.ts';

/** A JSON answer. */
export const json = (statusCode: number, body: unknown, headers: Record<string, string> = {}): Reply => ({
  statusCode,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
});

/** Lines of JSON each. */
export const jsonLines = (text: string, headers: Record<string, string>): Reply => ({
  statusCode: 200,
  headers: { 'content-type': 'application/x-ndjson', ...headers },
  body: text,
});

/** Bytes in one piece. */
export const binary = (bytes: Uint8Array, headers: Record<string, string> = {}): Reply => ({
  statusCode: 200,
  headers: { 'content-type': 'application/octet-stream', ...headers },
  body: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64'),
  isBase64Encoded: true,
});

export const noContent = (): Reply => ({ statusCode: 204, headers: {}, body: '' });

/** 202 and the command; 200 for an earlier result, and with a wait once it has ended in time. */
export const submittedReply = async (
  deps: Deps,
  { command, repeated, cache, watch }: Submitted,
  waitSeconds: number | undefined,
): Promise<Reply> => {
  const latest = waitSeconds === undefined ? command : await waitForCommand(deps, command, waitSeconds, watch);
  const isAnswered = cache === 'hit' || (waitSeconds !== undefined && isFinal(latest.status));
  return json(isAnswered ? 200 : 202, await toView(deps, latest), {
    location: `/v1/commands/${command.id}`,
    ...(waitSeconds === undefined ? {} : { 'preference-applied': `wait=${waitSeconds}` }),
    ...(repeated ? { 'idempotent-replayed': 'true' } : {}),
    ...(cache === undefined ? {} : { 'errand-cache': cache }),
  });
};

/** Whether the caller asks for live events rather than bytes. */
export const wantsEvents = (accept: string | undefined): boolean =>
  accept?.split(',').some((type) => type.trim().toLowerCase().startsWith('text/event-stream')) ?? false;

/** Left to the answer itself when a wait takes all the time that the platform gives. */
const ANSWER_SECONDS = 3;

/**
 * `wait=N` of a Prefer header (RFC 7240), in seconds, at most what we offer and what the platform leaves us;
 * undefined when not asked for.
 */
export const parsePreferWait = (
  prefer: string | undefined,
  remainingSeconds = Number.POSITIVE_INFINITY,
): number | undefined => {
  const wait = prefer?.match(/(?:^|[,;\s])wait\s*=\s*"?([^",;\s]*)/i)?.[1];
  if (wait === undefined) return undefined;
  if (/^\d{1,9}$/.test(wait)) {
    return Math.floor(Math.max(0, Math.min(Number(wait), LIMITS.waitSeconds, remainingSeconds - ANSWER_SECONDS)));
  }
  throw invalidHeader('prefer', 'wait must be a whole number of seconds, such as wait=30');
};

/** @throws AppError 'invalid-request' for a key that is empty, too long, or not printable ASCII */
export const parseIdempotencyKey = (key: string | undefined): string | undefined => {
  if (key === undefined) return undefined;
  if (key.length <= LIMITS.idempotencyKeyCharacters && /^[\x21-\x7e]+$/.test(key)) return key;
  const most = LIMITS.idempotencyKeyCharacters;
  throw invalidHeader('idempotency-key', `must be 1 to ${most} printable ASCII characters without spaces`);
};

/** The position in a Last-Event-ID header. @throws AppError 'invalid-request' when it is not one of ours */
export const parseLastEventId = (id: string | undefined): Position | undefined => {
  if (id === undefined || id === '') return undefined;
  const [, attempt, offset] = /^(\d{1,6}):(\d{1,15})$/.exec(id) ?? [];
  if (attempt === undefined || offset === undefined)
    throw invalidHeader('last-event-id', 'must be the id of an event of this stream');
  return { attempt: Number(attempt), offset: Number(offset) };
};

/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
export const eventStream = (events: AsyncGenerator<FollowEvent>): Reply => liveReply(toEventText(events));

/** The text of server-sent events as it comes. */
export const liveReply = (text: AsyncGenerator<Buffer>): Reply => ({
  statusCode: 200,
  headers: {
    'content-type': 'text/event-stream',
    // Proxies that buffer would turn live output into late output.
    'x-accel-buffering': 'no',
  },
  body: Readable.from(text, { objectMode: false, highWaterMark: 64 * 1024 }),
});

async function* toEventText(events: AsyncGenerator<FollowEvent>): AsyncGenerator<Buffer> {
  yield Buffer.from('retry: 1000\n\n');
  for await (const event of events) {
    const { name, position } = event;
    const head = `event: ${name}\nid: ${position.attempt}:${position.offset}\ndata: `;
    if (event.name !== 'stdout' && event.name !== 'stderr') {
      yield Buffer.from(`${head}${JSON.stringify(event.data)}\n\n`);
      continue;
    }
    // By hand, since a gigabyte of output passes here: JSON.stringify would copy all of it once more.
    const { attempt, offset, data } = event.data;
    yield Buffer.from(`${head}{"attempt":${attempt},"offset":${offset},"data":"${data}"}\n\n`, 'latin1');
  }
}

/**
 * The bytes that a request asks for: all from `from` on, or one range (RFC 9110, section 14).
 * @throws AppError 'range-not-satisfiable' past the end
 */
export const outputBytes = (output: OpenOutput, from: number | undefined, range: string | undefined): Reply => {
  const { first, last } = parseRange(range, output.size) ?? { first: from ?? 0, last: output.size - 1 };
  if (first > output.size || (range !== undefined && first === output.size)) {
    throw new AppError(
      'range-not-satisfiable',
      `The output has ${output.size} bytes now; byte ${first} is not among them.`,
      {
        headers: { 'content-range': `bytes */${output.size}` },
        faults: [range === undefined ? fromFault : rangeFault],
      },
    );
  }
  const partial = range !== undefined && isByteRange(range);
  return {
    statusCode: partial ? 206 : 200,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(last + 1 - first),
      'accept-ranges': 'bytes',
      // What a command wrote must never be taken for a page of ours.
      'x-content-type-options': 'nosniff',
      'errand-attempt': String(output.attempt),
      'errand-output-complete': String(output.complete),
      ...(partial ? { 'content-range': `bytes ${first}-${last}/${output.complete ? output.size : '*'}` } : {}),
    },
    body: Readable.from(output.read(first, last + 1), { objectMode: false, highWaterMark: 256 * 1024 }),
  };
};

const fromFault: Fault = { in: 'query', pointer: '/from', detail: 'lies past the end of the output' };
const rangeFault: Fault = { in: 'header', pointer: '/range', detail: 'lies past the end of the output' };

const isByteRange = (range: string): boolean => /^bytes=(\d+-\d*|-\d+)$/.test(range.trim());

/** Undefined for what is no single byte range, which RFC 9110 says to ignore. */
const parseRange = (range: string | undefined, size: number): { first: number; last: number } | undefined => {
  if (range === undefined || !isByteRange(range)) return undefined;
  const [first = '', last = ''] = range.trim().slice('bytes='.length).split('-');
  if (first === '') return { first: Math.max(0, size - Number(last)), last: size - 1 };
  return { first: Number(first), last: last === '' ? size - 1 : Math.min(Number(last), size - 1) };
};

export const invalidHeader = (name: string, detail: string): AppError =>
  new AppError('invalid-request', `${name}: ${detail}`, { faults: [{ in: 'header', pointer: `/${name}`, detail }] });
