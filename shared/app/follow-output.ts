import type { OutputEventName, OutputEvents } from '../contract/events.ts';
import type { Actor } from '../domain/actor.ts';
import { type Command, isFinal } from '../domain/command.ts';
import type { CommandId } from '../domain/ids.ts';
import type { StreamName } from '../domain/output.ts';
import { referenceOf } from '../store/schema.ts';
import type { Deps } from './deps.ts';
import { piecesOf } from './read-output.ts';
import { requireCommand } from './require-command.ts';
import { toView } from './view.ts';

/** Where a reader is: bytes of both streams that it has of an attempt. */
export interface Position {
  readonly attempt: number;
  readonly offset: number;
}

/** One event, with the position to resume from right after it. */
export type FollowEvent = {
  [N in OutputEventName]: { readonly name: N; readonly data: OutputEvents[N]; readonly position: Position };
}[OutputEventName];

interface FollowOptions {
  readonly stream?: StreamName | undefined;
  /** Resume right after this. @default the beginning of the first attempt that ran */
  readonly after?: Position | undefined;
  /** Begin at this byte: of `stream` when one is named, else of both. Not together with `after`. */
  readonly from?: number | undefined;
  /** Begin with this attempt. Not together with `after`. */
  readonly attempt?: number | undefined;
  /** Ends the events after so long, with a heartbeat, when the command has not; the reader resumes. @default never */
  readonly forSeconds?: number | undefined;
  /** A long poll: the events end as soon as there were some, with a heartbeat. @default false */
  readonly poll?: boolean;
}

const HEARTBEAT_SECONDS = 15;
/** Keeps an event's line, base64 included, well below what proxies buffer. */
const EVENT_BYTES = 32 * 1024;

/**
 * Follows a command live: what is stored first, then what comes, through retries, until it has ended.
 * Every byte once, from any position on. A reader that stops reading holds up nobody but itself.
 * @throws AppError 'not-found'
 */
export const followOutput = async (
  deps: Deps,
  actor: Actor,
  id: CommandId,
  options: FollowOptions,
): Promise<AsyncGenerator<FollowEvent>> => {
  const { command } = await requireCommand(deps, actor, id);
  return follow(deps, command, options);
};

async function* follow(deps: Deps, found: Command, options: FollowOptions): AsyncGenerator<FollowEvent> {
  const { stream, from = 0, forSeconds = Number.POSITIVE_INFINITY, poll = false } = options;
  const reference = referenceOf(found.tenant, found.id);
  const start = { attempt: options.attempt ?? firstAttempt(found), offset: stream ? 0 : from };
  using watch = deps.changes.watch(reference, ['record', 'output']);
  let command = found;
  let told = '';
  let position: Position = options.after ?? start;
  let silentSince = deps.clock.now();
  const endAt = deps.clock.now() + forSeconds * 1_000;
  let hasOutput = false;
  for (;;) {
    // The record before the output: what a final record counts is surely stored.
    command = (await deps.commands.find(reference))?.command ?? command;
    const status = { status: command.status, attempt: command.attempts.at(-1)?.number ?? 0 };
    const isNews = told !== `${status.status} ${status.attempt}`;
    told = `${status.status} ${status.attempt}`;
    // The end is told after the output that came before it.
    if (isNews && !isFinal(command.status)) {
      yield { name: 'status', data: status, position };
      silentSince = deps.clock.now();
    }
    const { attempt } = position;
    for await (const piece of piecesOf(deps, command, attempt, { from: position.offset })) {
      const unwanted = stream && attempt === start.attempt && !options.after ? from - piece.offset : 0;
      for (let at = Math.max(0, unwanted); at < piece.bytes.length; at += EVENT_BYTES) {
        const bytes = piece.bytes.subarray(at, at + EVENT_BYTES);
        position = { attempt, offset: piece.end - piece.bytes.length + at + bytes.length };
        if (stream && piece.stream !== stream) continue;
        const data = { attempt, offset: piece.offset + at, data: toBase64(bytes) };
        yield { name: piece.stream, data, position };
        hasOutput = true;
        silentSince = deps.clock.now();
      }
      position = { attempt, offset: piece.end };
    }
    const next = command.attempts.find(({ number }) => number > attempt);
    if (next) {
      position = { attempt: next.number, offset: 0 };
    } else if (isFinal(command.status)) {
      yield { name: 'status', data: status, position };
      yield { name: 'end', data: await toView(deps, command), position };
      return;
    } else {
      const heartbeatAt = Math.min(endAt, silentSince + HEARTBEAT_SECONDS * 1_000);
      const isAnswered = poll && hasOutput;
      if (!isAnswered) {
        await watch.next(Math.min(deps.lookEverySeconds * 1_000, Math.max(0, heartbeatAt - deps.clock.now())));
        if (deps.clock.now() < heartbeatAt) continue;
      }
      yield { name: 'heartbeat', data: {}, position };
      if (isAnswered || deps.clock.now() >= endAt) return;
      silentSince = deps.clock.now();
    }
  }
}

/** The first attempt that ran, or the one to come. */
const firstAttempt = ({ attempts }: Command): number => attempts.find((attempt) => attempt.startedAt)?.number ?? 1;

/** Without a copy of the bytes, since a gigabyte of output passes here. */
const toBase64 = ({ buffer, byteOffset, length }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, length).toString('base64');
