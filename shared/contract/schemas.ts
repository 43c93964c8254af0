import * as z from 'zod';
import {
  ISOLATION_LEVELS,
  LAUNCHERS,
  PRIORITIES,
  REASONS,
  RETRY_CAUSES,
  SIGNALS,
  STATUSES,
} from '../domain/command.ts';
import { HEALTH_STATES } from '../domain/health.ts';
import { COMMAND_ID, type CommandId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import { POOL_RULES } from '../domain/pools.ts';
import { SECRET_REFERENCE } from '../domain/secrets.ts';

const utf8 = new TextEncoder();
const byteLength = (text: string): number => utf8.encode(text).length;

/** Text that a process can be given: no NUL (it would end the string, execve(2)), no lone surrogate, bounded in bytes. */
export const processText = (maxBytes: number, error?: string) =>
  z
    .string(error)
    .refine((text) => !text.includes('\0'), { error: 'must not contain a NUL character', abort: true })
    .refine((text) => text.isWellFormed(), { error: 'must be well-formed Unicode', abort: true })
    .refine((text) => byteLength(text) <= maxBytes, { error: `must be at most ${maxBytes} bytes of UTF-8` });

const absolutePath = processText(LIMITS.pathBytes).refine((path) => path.startsWith('/'), {
  error: 'must be an absolute path',
});

export const envName = z
  .string()
  .max(LIMITS.envNameBytes)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be a variable name: letters, digits and _, not first a digit')
  .refine((name) => !name.startsWith('ERRAND_'), { error: 'must not begin with ERRAND_, which is ours' });

export const labelKey = z
  .string()
  .max(LIMITS.labelKeyCharacters)
  .regex(/^[A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?$/, 'must be letters, digits and _ . / - in between');
// No control characters: labels are printed in terminals and logs.
export const labelValue = z
  .string()
  .max(LIMITS.labelValueCharacters)
  .regex(/^\P{C}*$/u, 'must not contain control characters');

export const counted = <S extends z.ZodType<Record<string, unknown>>>(schema: S, most: number) =>
  schema.refine((record) => Object.keys(record).length <= most, { error: `must have at most ${most} entries` });

/** A number in a path or a query. */
export const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a whole number, 0 or more')
  .transform(Number);

const isTimeZone = (timeZone: string): boolean => {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
    return true;
  } catch {
    return false;
  }
};
export const TimeZone = z.string().refine(isTimeZone, { error: 'must be an IANA time zone such as Europe/Berlin' });

/** Parses to the branded id, so that inside nothing needs to cast. */
export const CommandIdText = z
  .string()
  .regex(COMMAND_ID, 'must be a command id: cmd_ and 26 characters')
  .meta({ id: 'CommandId', description: 'Sorts by the time of submission.' }) as unknown as z.ZodType<
  CommandId,
  string
>;

const Retry = z
  .strictObject({
    maxAttempts: z.int().min(1).max(LIMITS.attempts).describe('How often the command may run in all.'),
    on: z.array(z.enum(RETRY_CAUSES)).default(['provider-error']).describe('What is retried.'),
  })
  .describe('Full-jitter exponential backoff lies between attempts.');

const targetName = z.string().min(1).max(63);

const cells = z.int().min(1).max(LIMITS.terminalCells);
export const TerminalField = z
  .strictObject({ rows: cells, columns: cells })
  .meta({ id: 'TerminalSize', description: 'What fits on a terminal.' });

export const submitFields = z.strictObject({
  argv: z
    .array(processText(LIMITS.argumentBytes))
    .min(1, 'must name a program')
    .max(LIMITS.argvItems)
    .refine((argv) => argv[0] !== '', { error: 'the program must not be empty', path: [0] })
    .describe('The program and its arguments. No shell is involved.')
    .optional(),
  script: processText(LIMITS.argumentBytes)
    .min(1)
    .describe('Text for a shell, which is called with -c and this text.')
    .optional(),
  shell: absolutePath.describe('The shell for `script`. Default /bin/sh.').optional(),
  target: targetName
    .describe('Where it runs: a target, or a pool of them; see GET /v1/providers. Default: the first target.')
    .optional(),
  failover: z
    .array(targetName)
    .min(1)
    .max(LIMITS.failover)
    .describe(
      'Where it runs when that target is down or does not take it, in this order. It never runs on two at once.',
    )
    .optional(),
  image: z
    .string()
    .min(1)
    .max(512)
    .refine((text) => text.isWellFormed(), { error: 'must be well-formed Unicode' })
    .optional(),
  env: counted(z.record(envName, processText(LIMITS.envValueBytes)), LIMITS.envVariables)
    .describe('All of the environment but PATH, HOME, LANG and ours (ERRAND_…).')
    .optional(),
  secrets: counted(
    z.record(envName, z.string().regex(SECRET_REFERENCE, 'must be secret: and the name of a secret')),
    LIMITS.envVariables,
  )
    .describe('Variables that hold secrets: {"TOKEN": "secret:deploy-token"}. The values are masked in its output.')
    .optional(),
  cwd: absolutePath.describe('Default: an empty folder of its own, removed afterwards.').optional(),
  stdin: z
    .string()
    .refine((text) => text.isWellFormed(), { error: 'must be well-formed Unicode' })
    .describe('Input as text; or "open": parts follow by PUT …/stdin.')
    .optional(),
  stdinBase64: z.base64().describe('Input as bytes.').optional(),
  terminal: TerminalField.describe(
    'Gives it a terminal of this size, to be attached to by GET …/terminal. Its input is open, and what the terminal shows is its stdout. Not with cacheSeconds, given input or more than one attempt.',
  ).optional(),
  timeoutSeconds: z.int().min(1).max(LIMITS.timeoutSeconds).describe('Run time-out. Default 3600.').optional(),
  queueTtlSeconds: z
    .int()
    .min(1)
    .max(LIMITS.queueTtlSeconds)
    .describe('A command that has not started by then expires. Default 3600.')
    .optional(),
  cacheSeconds: z
    .int()
    .min(0)
    .max(LIMITS.cacheSeconds)
    .describe(
      'Answers with the same command of before, if it succeeded within this time. Not with secrets or open stdin. Default 0: never.',
    )
    .optional(),
  cpu: z.number().min(0.05).max(256).optional(),
  memoryMiB: z.int().min(16).max(4_194_304).optional(),
  priority: z.enum(PRIORITIES).describe('Default normal.').optional(),
  labels: counted(z.record(labelKey, labelValue), LIMITS.labels).optional(),
  isolation: z
    .enum(ISOLATION_LEVELS)
    .describe("At least this level, or refused. Default: the target's own.")
    .optional(),
  retry: Retry.optional(),
});

export const exactlyOne = { error: 'exactly one of argv and script must be given', path: ['argv'] };
export const atMostOneStdin = { error: 'stdin and stdinBase64 must not both be given', path: ['stdinBase64'] };

/** The value of a secret may change, and what is typed is not known beforehand. */
type SubmitFields = z.infer<typeof submitFields>;
const isCacheable = ({ cacheSeconds = 0, secrets, stdin }: SubmitFields): boolean =>
  cacheSeconds === 0 || (Object.keys(secrets ?? {}).length === 0 && stdin !== 'open');
const uncacheable = { error: 'is not for commands with secrets or open stdin', path: ['cacheSeconds'] };

/** What such fields must be to each other. */
export const withSubmitRules = <Fields extends z.ZodType<SubmitFields>>(fields: Fields): Fields =>
  fields
    .refine((body) => (body.argv === undefined) !== (body.script === undefined), exactlyOne)
    .refine((body) => body.stdin === undefined || body.stdinBase64 === undefined, atMostOneStdin)
    .refine(isCacheable, uncacheable);

export const SubmitCommand = withSubmitRules(submitFields).meta({ id: 'SubmitCommand' });
export type SubmitCommand = z.infer<typeof SubmitCommand>;

export const ReplayCommand = submitFields
  .refine((body) => body.argv === undefined || body.script === undefined, exactlyOne)
  .refine((body) => body.stdin === undefined || body.stdinBase64 === undefined, atMostOneStdin)
  .refine(isCacheable, uncacheable)
  .meta({ id: 'ReplayCommand', description: 'Fields to change; the others are as they were submitted.' });
export type ReplayCommand = z.infer<typeof ReplayCommand>;

export const SignalCommand = z
  .strictObject({ signal: z.enum(SIGNALS) })
  .meta({ id: 'SignalCommand', description: 'One signal for the command’s process group.' });
export type SignalCommand = z.infer<typeof SignalCommand>;

export const MoveCommand = z
  .strictObject({ target: targetName.describe('One that it may run on: of its own target, or its failover.') })
  .meta({ id: 'MoveCommand' });
export type MoveCommand = z.infer<typeof MoveCommand>;

const Timestamp = z.iso.datetime();
const Bytes = z.int().min(0);

export const ResultView = z
  .object({
    exitCode: z.int().nullable().describe('Null when a signal ended it, or nobody can know.'),
    signal: z.string().nullable(),
    reason: z.enum(REASONS),
    detail: z.string().optional().describe('One sentence for a person.'),
    durationMs: z.int().nullable(),
    stdoutBytes: Bytes,
    stderrBytes: Bytes,
    droppedBytes: Bytes.describe('Output beyond the limit, counted and not kept.'),
    isolation: z.enum(ISOLATION_LEVELS).describe('The level that was used.'),
    usage: z
      .object({
        cpuMs: z.number().min(0).describe('Processor time of the command and of what it waited for.'),
        peakMemoryMiB: z.number().min(0).describe('The most that one of its processes had in memory.'),
      })
      .optional()
      .describe('Absent where nobody counts it.'),
    redactions: z
      .int()
      .min(0)
      .optional()
      .describe('How often a secret was masked in its output. Absent for a command that was given none.'),
  })
  .meta({ id: 'Result' });
export type ResultView = z.infer<typeof ResultView>;

export const AttemptView = z
  .object({
    number: z.int().min(1),
    target: z.string(),
    status: z.enum(STATUSES),
    detail: z.string().optional().describe('Why a start was given up.'),
    requestedAt: Timestamp,
    startedAt: Timestamp.nullable(),
    endedAt: Timestamp.nullable(),
    result: ResultView.nullable(),
  })
  .meta({ id: 'Attempt' });
export type AttemptView = z.infer<typeof AttemptView>;

const summaryFields = {
  id: CommandIdText,
  status: z.enum(STATUSES),
  target: z.string().describe('As it was submitted. Where it ran is in its attempts.'),
  failover: z.array(z.string()).optional(),
  argv: z.array(z.string()).optional(),
  script: z.string().optional(),
  shell: z.string().optional(),
  image: z.string().optional(),
  cwd: z.string().optional(),
  envNames: z.array(z.string()).describe('Values are not shown.'),
  secrets: z.record(z.string(), z.string()).optional().describe('By name, as they were submitted.'),
  stdin: z.enum(['none', 'fixed', 'open']),
  terminal: TerminalField.optional().describe('As it was submitted. Absent without one.'),
  timeoutSeconds: z.int(),
  queueTtlSeconds: z.int(),
  cacheSeconds: z.int().optional(),
  priority: z.enum(PRIORITIES),
  isolation: z.enum(ISOLATION_LEVELS),
  labels: z.record(z.string(), z.string()),
  submittedAt: Timestamp,
  startedAt: Timestamp.nullable(),
  endedAt: Timestamp.nullable(),
  cancelRequestedAt: Timestamp.nullable(),
  result: ResultView.nullable(),
  attempts: z.array(AttemptView),
  replayOf: CommandIdText.nullable(),
  session: z.string().optional().describe('Whose shell runs it. Absent unless it was submitted to a session.'),
  scheduledBy: z
    .object({ schedule: z.string(), at: Timestamp.describe('The instant that it fired for.') })
    .optional()
    .describe('Absent unless a schedule submitted it.'),
  triggeredBy: z
    .object({ trigger: z.string(), delivery: z.string().nullable().describe('What its sender calls the delivery.') })
    .optional()
    .describe('Absent unless a trigger submitted it.'),
  workflow: z
    .object({ id: z.string(), node: z.string(), item: z.int().min(0).optional() })
    .optional()
    .describe('Absent unless it is of a workflow: its node, and of a node with forEach the place of its item.'),
  policy: z
    .object({ version: z.int(), rule: z.string().optional(), approval: z.string().optional() })
    .optional()
    .describe(
      'What of the tenant’s policy let it in: a version, its rule or its default, an approval. Absent without one.',
    ),
  traceId: z.string().optional().describe('The trace that it belongs to (W3C Trace Context). Absent without one.'),
};

/** A command as it is listed: everything but its output. */
export const CommandSummary = z.object(summaryFields).meta({ id: 'CommandSummary' });
export type CommandSummary = z.infer<typeof CommandSummary>;

export const CommandView = z
  .object({
    ...summaryFields,
    stdout: z
      .string()
      .describe(`The last attempt's, the first ${LIMITS.recordTextBytes} bytes, invalid UTF-8 replaced.`),
    stderr: z.string(),
    outputTruncated: z.boolean().describe('True when stdout or stderr here are not all that was written.'),
  })
  .meta({ id: 'Command' });
export type CommandView = z.infer<typeof CommandView>;

export const CommandList = z
  .object({ items: z.array(CommandSummary), nextCursor: z.string().optional() })
  .meta({ id: 'CommandList' });
export type CommandList = z.infer<typeof CommandList>;

const TargetView = z
  .object({
    target: z.string(),
    provider: z.string(),
    healthy: z.boolean().describe('What its provider says of it.'),
    detail: z.string().optional(),
    state: z
      .enum(HEALTH_STATES)
      .describe('What workers go by: they make no call to a target that is down; degraded is on trial after that.'),
    since: Timestamp.optional(),
    why: z.string().optional().describe('Why it is not healthy.'),
    pricePerHour: z.number().optional(),
    features: z.object({
      mode: z.enum(['inline', 'detached']),
      runner: z.enum(['in-process', 'remote']),
      startSeconds: z.number(),
      startTicket: z.boolean(),
      liveOutput: z.boolean(),
      separateStreams: z.boolean(),
      stdin: z.boolean(),
      signals: z.boolean(),
      cancel: z.enum(['tree', 'process-group']),
      customImage: z.boolean(),
      resourceLimits: z.boolean(),
      resourceLimitsAt: z
        .array(z.enum(ISOLATION_LEVELS))
        .optional()
        .describe('The levels at which cpu and memoryMiB can be asked for, where not at all.'),
      isolation: z.array(z.enum(ISOLATION_LEVELS)),
      isolationLacking: z
        .partialRecord(z.enum(ISOLATION_LEVELS), z.string())
        .optional()
        .describe('Why a level is not offered, and what to do.'),
      sandbox: z
        .object({
          network: z.enum(['none', 'host']),
          diskMiB: z.int(),
          diskFiles: z.int(),
          memoryMiB: z.int(),
          processes: z.int(),
          openFiles: z.int(),
          limitedBy: z
            .enum(['control-groups', 'watching'])
            .describe('By the kernel, or by looking many times a second, which is weaker.'),
        })
        .optional()
        .describe('What a command of isolation `sandbox` gets where it asks for nothing else.'),
      longestTimeoutSeconds: z.int(),
      ownUser: z.boolean().optional().describe('Whether each command of isolation `process` has a user of its own.'),
      sessions: z
        .array(z.enum(ISOLATION_LEVELS))
        .optional()
        .describe('The levels at which it holds sessions. Absent where it holds none.'),
      terminals: z
        .array(z.enum(ISOLATION_LEVELS))
        .optional()
        .describe('The levels at which a command can have a terminal. Absent where it can at none.'),
      terminalsLacking: z.string().optional().describe('Why there are none that could be, and what to do.'),
      launcher: z.enum(LAUNCHERS).optional().describe('What starts the commands of a target on this machine.'),
    }),
  })
  .meta({ id: 'Target' });
export type TargetView = z.infer<typeof TargetView>;

const PoolView = z
  .object({
    pool: z.string(),
    targets: z.array(z.string()),
    by: z.enum(POOL_RULES).describe('What decides which of them is taken, of those that are well.'),
    weights: z.record(z.string(), z.number()).optional(),
  })
  .meta({ id: 'Pool' });
export type PoolView = z.infer<typeof PoolView>;

export const TargetList = z.object({ items: z.array(TargetView), pools: z.array(PoolView) }).meta({ id: 'TargetList' });
export type TargetList = z.infer<typeof TargetList>;

export const StdinAccepted = z
  .object({ stdinBytes: Bytes.describe('All input so far: the offset of the next part.'), ended: z.boolean() })
  .meta({ id: 'StdinAccepted' });
export type StdinAccepted = z.infer<typeof StdinAccepted>;

export const Healthy = z.object({ status: z.literal('ok') }).meta({ id: 'Healthy' });

export const ProblemView = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
    instance: z.string().optional(),
    code: z.string().describe('Stable; see docs/errors.md.'),
    requestId: z.string().optional(),
    errors: z
      .array(z.object({ in: z.enum(['body', 'query', 'path', 'header']), pointer: z.string(), detail: z.string() }))
      .optional()
      .describe('One entry for each fault in the request, with a JSON pointer to it.'),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details.' });
export type ProblemView = z.infer<typeof ProblemView>;
