import * as z from 'zod';
import { STATUSES } from '../../domain/command.ts';
import { LIMITS } from '../../domain/limits.ts';
import type { Endpoint } from '../endpoint.ts';
import {
  CommandIdText,
  CommandList,
  CommandView,
  MoveCommand,
  ReplayCommand,
  SignalCommand,
  StdinAccepted,
  SubmitCommand,
  wholeNumber,
} from '../schemas.ts';
import { TERMINAL_PROTOCOL } from '../terminal.ts';

const id = z.strictObject({ id: CommandIdText });
const cells = wholeNumber.pipe(z.int().min(1).max(LIMITS.terminalCells));

export const submitHeaders = {
  'idempotency-key': 'The same key and body twice give one command and the same answer, for 24 hours.',
  prefer: `\`wait=N\` (N ≤ ${LIMITS.waitSeconds} seconds): answer when the command has ended, if it ends in time (RFC 7240).`,
  traceparent:
    'The trace that the command is to belong to (W3C Trace Context); its process is told of it by TRACEPARENT.',
};
export const submitAnswers = {
  200: { description: 'It ended within `Prefer: wait`.', schema: CommandView },
  202: { description: 'Stored durably; it will run.', schema: CommandView },
};

export const commandEndpoints = {
  submitCommand: {
    method: 'POST',
    path: '/v1/commands',
    function: 'commands',
    permission: 'commands:submit',
    summary: 'Submit a command',
    headers: submitHeaders,
    body: SubmitCommand,
    answers: submitAnswers,
  },
  listCommands: {
    method: 'GET',
    path: '/v1/commands',
    function: 'commands',
    permission: 'commands:read',
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
    permission: 'commands:read',
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
    permission: 'commands:read',
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
  attachTerminal: {
    method: 'GET',
    path: '/v1/commands/{id}/terminal',
    function: 'commands',
    // And commands:read, which its use case asks for.
    permission: 'commands:control',
    summary: 'Attach to the terminal of a command, by WebSocket',
    params: id,
    query: z
      .strictObject({
        from: z
          .union([wholeNumber, z.literal('end')], { error: 'must be a whole number, 0 or more, or end' })
          .optional()
          .describe('The first byte of what it has shown; end: what comes next. Default 0.'),
        rows: cells.optional(),
        columns: cells.optional(),
      })
      .refine(({ rows, columns }) => (rows === undefined) === (columns === undefined), {
        error: 'rows and columns must be given together',
        path: ['rows'],
      }),
    headers: {
      upgrade: '`websocket` (RFC 6455).',
      'sec-websocket-protocol': `\`${TERMINAL_PROTOCOL}\`: binary messages are bytes, text messages are JSON; see docs/terminals.md.`,
    },
    answers: { 101: { description: 'Attached. Without a WebSocket: 426.' } },
  },
  cancelCommand: {
    method: 'POST',
    path: '/v1/commands/{id}/cancel',
    function: 'commands',
    permission: 'commands:control',
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
    permission: 'commands:control',
    summary: 'Send one signal to a running command',
    params: id,
    body: SignalCommand,
    answers: { 202: { description: 'Taken.', schema: CommandView } },
  },
  moveCommand: {
    method: 'POST',
    path: '/v1/commands/{id}/move',
    function: 'commands',
    permission: 'commands:control',
    summary: 'Have the next attempt on another target that it may run on',
    params: id,
    body: MoveCommand,
    answers: {
      202: {
        description:
          'Taken. What runs is stopped first, seen gone, and then runs again there. Twice is the same as once.',
        schema: CommandView,
      },
    },
  },
  writeStdin: {
    method: 'PUT',
    path: '/v1/commands/{id}/stdin',
    function: 'commands',
    permission: 'commands:control',
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
    permission: 'commands:control',
    summary: 'End the input. Twice is the same as once.',
    params: id,
    answers: { 202: { description: 'The command sees the end of its input.', schema: StdinAccepted } },
  },
  replayCommand: {
    method: 'POST',
    path: '/v1/commands/{id}/replay',
    function: 'commands',
    permission: 'commands:submit',
    summary: 'Submit the same again, as a new command',
    params: id,
    headers: submitHeaders,
    body: ReplayCommand,
    bodyOptional: true,
    answers: submitAnswers,
  },
} as const satisfies Record<string, Endpoint>;
