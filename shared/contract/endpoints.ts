import * as z from 'zod';
import { STATUSES } from '../domain/command.ts';
import { LIMITS } from '../domain/limits.ts';
import { EndHeadSchema, LookAtRun, MOST_FRAMED_BYTES, OutputHeadSchema, RedeemStart } from './runner.ts';
import {
  CommandIdText,
  CommandList,
  CommandView,
  Healthy,
  ReplayCommand,
  SignalCommand,
  StdinAccepted,
  SubmitCommand,
  TargetList,
} from './schemas.ts';

/** What a 2xx answer carries. */
interface Answer {
  readonly description: string;
  /** JSON of this shape. */
  readonly schema?: z.ZodType;
  /** Or these media types, as they are. */
  readonly mediaTypes?: readonly string[];
}

export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With `{name}` for a path parameter. */
  readonly path: string;
  /** The file in functions/http that serves it. */
  readonly function: 'commands' | 'output' | 'providers' | 'system' | 'runner';
  /** Who may call: a caller with a credential, a runner with the token of its attempt, or anyone. @default 'caller' */
  readonly access?: 'caller' | 'runner' | 'anyone';
  readonly summary: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  /** Request headers that mean something here, in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: z.ZodType;
  /** A request without a body is taken as `{}`. */
  readonly bodyOptional?: boolean;
  /** The body is bytes, at most this many, and not JSON. */
  readonly bodyBytes?: number;
  /** Such bytes begin with a JSON head of this shape; see shared/runner/framed.ts. */
  readonly head?: z.ZodType;
  readonly answers: Readonly<Record<number, Answer>>;
}

const id = z.strictObject({ id: CommandIdText });
const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a whole number, 0 or more')
  .transform(Number);

const submitHeaders = {
  'idempotency-key': 'The same key and body twice give one command and the same answer, for 24 hours.',
  prefer: `\`wait=N\` (N ≤ ${LIMITS.waitSeconds} seconds): answer when the command has ended, if it ends in time (RFC 7240).`,
};
const submitAnswers = {
  200: { description: 'It ended within `Prefer: wait`.', schema: CommandView },
  202: { description: 'Stored durably; it will run.', schema: CommandView },
};

/**
 * THE endpoint table. Routes, request validation, OpenAPI and the client are made from it: to add an endpoint,
 * add its entry here and its use case in shared/app.
 */
export const endpoints = {
  submitCommand: {
    method: 'POST',
    path: '/v1/commands',
    function: 'commands',
    summary: 'Submit a command',
    headers: submitHeaders,
    body: SubmitCommand,
    answers: submitAnswers,
  },
  listCommands: {
    method: 'GET',
    path: '/v1/commands',
    function: 'commands',
    summary: 'List commands, newest first',
    query: z.strictObject({
      status: z.enum(STATUSES).optional(),
      label: z
        .string()
        .regex(/^[^:]+:.*$/s, 'must be key:value')
        .optional(),
      target: z.string().min(1).optional(),
      limit: wholeNumber.pipe(z.int().min(1).max(LIMITS.listItems)).optional(),
      cursor: z.string().optional(),
    }),
    answers: { 200: { description: 'One page. `nextCursor` is there while more may follow.', schema: CommandList } },
  },
  getCommand: {
    method: 'GET',
    path: '/v1/commands/{id}',
    function: 'commands',
    summary: 'Read a command with its attempts, result and first output',
    params: id,
    headers: {
      prefer: `\`wait=N\` (N ≤ ${LIMITS.waitSeconds} seconds): answer when the command has ended, or after N seconds.`,
    },
    answers: { 200: { description: 'The command.', schema: CommandView } },
  },
  readOutput: {
    method: 'GET',
    path: '/v1/commands/{id}/output',
    function: 'output',
    summary: 'Read the output: exact bytes, or live events',
    params: id,
    query: z.strictObject({
      stream: z.enum(['stdout', 'stderr']).optional(),
      from: wholeNumber.optional(),
      attempt: wholeNumber
        .pipe(
          z
            .int()
            .min(1)
            .max(LIMITS.attempts * 100),
        )
        .optional(),
    }),
    headers: {
      accept: '`text/event-stream` follows the command live until it has ended.',
      'last-event-id': 'Resumes the live events right after this one.',
      prefer:
        '`wait=N` makes the live events a long poll: they end, with a heartbeat, once there was output, or after N seconds.',
      range: 'One byte range (RFC 9110), for bytes.',
    },
    answers: {
      200: {
        description:
          'The bytes so far: of one stream, or of both in the order in which they came. ' +
          'Live: events `status`, `stdout`, `stderr` (base64 `data` with the stream’s byte `offset`), `heartbeat` and `end`.',
        mediaTypes: ['application/octet-stream', 'text/event-stream'],
      },
      206: { description: 'The range that was asked for.', mediaTypes: ['application/octet-stream'] },
    },
  },
  cancelCommand: {
    method: 'POST',
    path: '/v1/commands/{id}/cancel',
    function: 'commands',
    summary: 'End a command: TERM, grace, KILL, the whole tree',
    params: id,
    answers: {
      202: { description: 'Taken. `canceled` once it was seen gone. Twice is the same as once.', schema: CommandView },
    },
  },
  signalCommand: {
    method: 'POST',
    path: '/v1/commands/{id}/signal',
    function: 'commands',
    summary: 'Send one signal to a running command',
    params: id,
    body: SignalCommand,
    answers: { 202: { description: 'Taken.', schema: CommandView } },
  },
  writeStdin: {
    method: 'PUT',
    path: '/v1/commands/{id}/stdin',
    function: 'commands',
    summary: 'Send more input to a command submitted with "stdin": "open"',
    params: id,
    query: z.strictObject({ from: wholeNumber.optional() }),
    bodyBytes: LIMITS.stdinPartBytes,
    answers: {
      202: {
        description: 'Stored. With `from`, the offset of this part, a repeated part is taken once.',
        schema: StdinAccepted,
      },
    },
  },
  endStdin: {
    method: 'DELETE',
    path: '/v1/commands/{id}/stdin',
    function: 'commands',
    summary: 'End the input. Twice is the same as once.',
    params: id,
    answers: { 202: { description: 'The command sees the end of its input.', schema: StdinAccepted } },
  },
  replayCommand: {
    method: 'POST',
    path: '/v1/commands/{id}/replay',
    function: 'commands',
    summary: 'Submit the same again, as a new command',
    params: id,
    headers: submitHeaders,
    body: ReplayCommand,
    bodyOptional: true,
    answers: submitAnswers,
  },
  listProviders: {
    method: 'GET',
    path: '/v1/providers',
    function: 'providers',
    summary: 'Targets, what they can do, and whether they are healthy',
    answers: { 200: { description: 'All targets.', schema: TargetList } },
  },
  checkHealth: {
    method: 'GET',
    path: '/healthz',
    function: 'system',
    access: 'anyone',
    summary: 'Is the process up?',
    answers: { 200: { description: 'Yes.', schema: Healthy } },
  },
  checkReady: {
    method: 'GET',
    path: '/readyz',
    function: 'system',
    access: 'anyone',
    summary: 'Can a command be taken and run?',
    answers: { 200: { description: 'Yes. Otherwise 503.', schema: Healthy } },
  },
  describeApi: {
    method: 'GET',
    path: '/openapi.json',
    function: 'system',
    access: 'anyone',
    summary: 'This API as OpenAPI 3.1',
    answers: { 200: { description: 'The description.', mediaTypes: ['application/json'] } },
  },
  // What a runner that stands beside its command asks and tells; see shared/runner/control.ts.
  redeemStart: {
    method: 'POST',
    path: '/runner/v1/redeem',
    function: 'runner',
    access: 'runner',
    summary: 'Redeem the start ticket of an attempt',
    body: RedeemStart,
    answers: { 200: { description: 'What to execute. 409: nothing may be executed.' } },
  },
  lookAtRun: {
    method: 'POST',
    path: '/runner/v1/look',
    function: 'runner',
    access: 'runner',
    summary: 'See what the command has to do now, and show that it lives',
    query: LookAtRun,
    answers: {
      200: { description: 'Whether to stop, the signals so far, and how much output is stored if that was asked.' },
    },
  },
  readRunStdin: {
    method: 'GET',
    path: '/runner/v1/stdin',
    function: 'runner',
    access: 'runner',
    summary: 'Read the next part of open input, waiting a while for it',
    query: z.strictObject({ from: wholeNumber }),
    answers: { 200: { description: 'The bytes; none when none came.', mediaTypes: ['application/octet-stream'] } },
  },
  storeRunOutput: {
    method: 'POST',
    path: '/runner/v1/output',
    function: 'runner',
    access: 'runner',
    summary: 'Store a chunk of output',
    bodyBytes: MOST_FRAMED_BYTES,
    head: OutputHeadSchema,
    answers: { 204: { description: 'Stored durably.' } },
  },
  endRun: {
    method: 'POST',
    path: '/runner/v1/end',
    function: 'runner',
    access: 'runner',
    summary: 'Report how the attempt ended, with the last of its output',
    bodyBytes: MOST_FRAMED_BYTES,
    head: EndHeadSchema,
    answers: { 204: { description: 'Stored durably.' } },
  },
} as const satisfies Record<string, Endpoint>;

export type EndpointName = keyof typeof endpoints;

/** Where a request goes: an endpoint with its path parameters, or why not. */
export type Match =
  | { readonly kind: 'endpoint'; readonly name: EndpointName; readonly params: Record<string, string> }
  | { readonly kind: 'wrong-method'; readonly allow: readonly string[] }
  | { readonly kind: 'unknown-path' };

const routes = (Object.entries(endpoints) as [EndpointName, Endpoint][]).map(([name, { method, path }]) => ({
  name,
  method,
  segments: path.split('/'),
}));

/** Finds the endpoint for a method and a raw (still percent-encoded) path. */
export const matchEndpoint = (method: string, rawPath: string): Match => {
  const segments = rawPath.split('/');
  const here = routes.filter(
    (route) =>
      route.segments.length === segments.length &&
      route.segments.every((part, i) => part.startsWith('{') || part === segments[i]),
  );
  const route = here.find((candidate) => candidate.method === method);
  if (!route) {
    return here.length > 0 ? { kind: 'wrong-method', allow: here.map((r) => r.method) } : { kind: 'unknown-path' };
  }
  const params: Record<string, string> = {};
  for (const [i, part] of route.segments.entries()) {
    if (part.startsWith('{')) params[part.slice(1, -1)] = decodeSegment(segments[i] ?? '');
  }
  return { kind: 'endpoint', name: route.name, params };
};

/** A malformed escape stays as it is: the parameter's schema then refuses it with a pointer. */
const decodeSegment = (segment: string): string => {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
};
