import * as z from 'zod';
import { ISOLATION_LEVELS } from '../domain/command.ts';
import { LIMITS } from '../domain/limits.ts';
import { SESSION_ENDS, SESSION_ID, SESSION_SHELLS, SESSION_STATES, type SessionId } from '../domain/sessions.ts';
import { Name } from './access-schemas.ts';
import { atMostOneStdin, submitFields } from './schemas.ts';

export const SessionIdText = z
  .string()
  .regex(SESSION_ID, 'must be a session’s id: ses_ and 16 hex digits')
  .meta({ id: 'SessionId' }) as unknown as z.ZodType<SessionId, string>;

const Time = z.iso.datetime();
const { shape } = submitFields;

export const CreateSession = z
  .strictObject({
    name: Name.describe('For people. Default: none.').optional(),
    target: shape.target.describe('A target that holds sessions: `sessions` in GET /v1/providers. No pool.'),
    shell: z.enum(SESSION_SHELLS).describe('Default /bin/sh.').optional(),
    env: shape.env,
    cwd: shape.cwd,
    labels: shape.labels.describe('Also put on each of its commands.'),
    isolation: shape.isolation,
    idleSeconds: z
      .int()
      .min(1)
      .max(LIMITS.sessionLifeSeconds)
      .describe('It ends when it was not used for so long. Default 900.')
      .optional(),
    maxLifeSeconds: z
      .int()
      .min(1)
      .max(LIMITS.sessionLifeSeconds)
      .describe('It ends so long after its start, whatever it does. Default 28800.')
      .optional(),
  })
  .meta({ id: 'CreateSession' });

export const SessionCommand = z
  .strictObject({
    script: shape.script
      .unwrap()
      .describe('Run in the session’s shell itself, after those that were submitted before.'),
    stdin: z
      .string()
      .refine((text) => text.isWellFormed(), { error: 'must be well-formed Unicode' })
      .describe('Input as text. Default: empty.')
      .optional(),
    stdinBase64: shape.stdinBase64,
    timeoutSeconds: shape.timeoutSeconds.describe(
      'Run time-out: it is interrupted, and the session ended if that does not help. Default 3600.',
    ),
    queueTtlSeconds: shape.queueTtlSeconds,
    labels: shape.labels,
  })
  .refine((body) => body.stdin === undefined || body.stdinBase64 === undefined, atMostOneStdin)
  .meta({ id: 'SessionCommand' });

export const SessionView = z
  .object({
    id: SessionIdText,
    name: z.string(),
    state: z.enum(SESSION_STATES),
    reason: z.enum(SESSION_ENDS).nullable().describe('Why it ended.'),
    detail: z.string().nullable().describe('The same for a person.'),
    target: z.string(),
    shell: z.enum(SESSION_SHELLS),
    envNames: z.array(z.string()).describe('Values are not shown.'),
    cwd: z.string().nullable().describe('Where it began; null for a folder of its own.'),
    isolation: z.enum(ISOLATION_LEVELS),
    labels: z.record(z.string(), z.string()),
    member: z.string().describe('Whose it is: nobody else can use it.'),
    idleSeconds: z.int(),
    maxLifeSeconds: z.int(),
    createdAt: Time,
    lastUsedAt: Time,
    expiresAt: Time.nullable().describe('When it ends if it is not used before; null once it has ended.'),
    endedAt: Time.nullable(),
    running: z.string().nullable().describe('The command that its shell executes.'),
    waiting: z.int().describe('How many commands wait for it.'),
  })
  .meta({ id: 'Session' });

export const SessionList = z
  .object({ items: z.array(SessionView), nextCursor: z.string().optional() })
  .meta({ id: 'SessionList' });
