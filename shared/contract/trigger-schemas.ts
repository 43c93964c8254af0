import * as z from 'zod';
import { LIMITS } from '../domain/limits.ts';
import { isMistake, parseReference } from '../domain/placeholders.ts';
import { DELIVERY_OUTCOMES, DELIVERY_REASONS, LEADING_DASHES, TRIGGER_ID, type TriggerId } from '../domain/triggers.ts';
import { Name } from './access-schemas.ts';
import { PolicyExplanation } from './policy-schemas.ts';
import { CommandIdText, SubmitCommand } from './schemas.ts';

export const TriggerIdText = z
  .string()
  .regex(TRIGGER_ID, 'must be a trigger’s id: trg_ and 16 characters')
  .meta({ id: 'TriggerId' }) as unknown as z.ZodType<TriggerId, string>;

const Time = z.iso.datetime();

const tokenHeader = z
  .string()
  .regex(/^(x-[a-z0-9-]{1,60}|authorization)$/, 'must be authorization, or x- and lower-case letters, digits and -');
const deliveryHeader = z
  .string()
  .regex(/^(x-[a-z0-9-]{1,60}|webhook-id|idempotency-key)$/, 'must be webhook-id, idempotency-key or one with x-');

const Signature = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('github').describe('X-Hub-Signature-256 over the body.'),
      identifiedBy: z
        .enum(['body', 'delivery'])
        .describe(
          'What makes two deliveries the same one: the body, all that GitHub signs, or X-GitHub-Delivery, which it does not. Default body.',
        )
        .optional(),
    }),
    z.strictObject({
      kind: z.literal('standard-webhooks').describe('webhook-id, webhook-timestamp and webhook-signature.'),
    }),
    z.strictObject({
      kind: z.literal('shared-token').describe('A header that holds the secret itself.'),
      header: tokenHeader.describe('Default x-errand-token.').optional(),
      deliveryHeader: deliveryHeader
        .describe(
          'Names a delivery, so that one that comes again is the same. Default: none, and each is one of its own.',
        )
        .optional(),
    }),
  ])
  .meta({ id: 'TriggerSignature', description: 'How a sender shows who it is.' });

const Scalar = z.union([z.string().max(LIMITS.patternCharacters), z.number(), z.boolean(), z.null()]);
const values = <S extends z.ZodType>(schema: S) => z.array(schema).min(1).max(LIMITS.triggerFilterValues);

const Condition = z
  .strictObject({
    on: z
      .string()
      .max(LIMITS.patternCharacters)
      .describe('A value as in a placeholder: body.ref, headers["x-gitlab-event"], event.'),
    equals: Scalar.describe('The same JSON value.').optional(),
    in: values(Scalar).describe('One of these.').optional(),
    glob: values(z.string().max(LIMITS.patternCharacters))
      .describe('A text that any of these matches: * any characters, ? one.')
      .optional(),
    exists: z.literal(true).describe('There is one.').optional(),
    not: z.literal(true).describe('The opposite, which what is not there fulfils too.').optional(),
  })
  .refine((one) => [one.equals, one.in, one.glob, one.exists].filter((given) => given !== undefined).length === 1, {
    error: 'exactly one of equals, in, glob and exists must be given',
    path: ['equals'],
  })
  .superRefine(({ on }, context) => {
    const reference = parseReference(on);
    if (isMistake(reference)) context.addIssue({ code: 'custom', message: reference.mistake, path: ['on'] });
  })
  .meta({ id: 'TriggerCondition' });

const Secret = z.string().min(1).max(LIMITS.triggerSecretCharacters);

const fields = {
  name: Name.describe('For people. Default: none.').optional(),
  filters: z
    .array(Condition)
    .max(LIMITS.triggerFilters)
    .describe('All of them hold, or nothing is submitted. Default: none.')
    .optional(),
  leadingDashes: z
    .enum(LEADING_DASHES)
    .describe(
      'What becomes of a delivery with a value that begins an argument with a dash, where no -- is before it. Default refuse.',
    )
    .optional(),
  command: SubmitCommand.describe(
    'What is submitted, as to POST /v1/commands. Arguments behind the program, values of env, and stdin may hold placeholders: {{ body.ref }}.',
  ),
};

export const CreateTrigger = z
  .strictObject({
    ...fields,
    signature: Signature,
    secret: Secret.describe('What the sender signs with. Default: one is made, and shown once.').optional(),
  })
  .meta({ id: 'CreateTrigger' });

export const PutTrigger = z
  .strictObject({
    ...fields,
    signature: Signature.describe('Of the same kind; its secret stays.'),
    onVersion: z.int().min(1).describe('Only if this is its version now.').optional(),
  })
  .meta({
    id: 'PutTrigger',
    description: 'All of a trigger but its secret: what is not given is as if it never had been.',
  });

export const RotateTriggerSecret = z
  .strictObject({
    secret: Secret.describe('Default: one is made, and shown once.').optional(),
    overlapSeconds: z
      .int()
      .min(0)
      .max(LIMITS.keyOverlapSeconds)
      .describe('So long the one before is good too. Default 86400.')
      .optional(),
  })
  .meta({ id: 'RotateTriggerSecret' });

const summary = {
  id: TriggerIdText,
  name: z.string(),
  version: z.int().min(1).describe('One more with each change.'),
  state: z.enum(['active', 'paused']),
  path: z.string().describe('Where deliveries are sent, below the address of this API.'),
  signature: z
    .object({
      kind: z.enum(['github', 'standard-webhooks', 'shared-token']),
      identifiedBy: z.string().optional(),
      header: z.string().optional(),
      deliveryHeader: z.string().optional(),
    })
    .describe('With its defaults.'),
  secrets: z
    .array(z.object({ addedAt: Time, endsAt: Time.nullable() }))
    .describe('When those that are good were added, the newest first. Their values are not shown.'),
  filters: z.array(z.object({ on: z.string() }).loose()),
  leadingDashes: z.enum(LEADING_DASHES),
  command: z
    .object({
      argv: z.array(z.string()).optional(),
      script: z.string().optional(),
      target: z.string(),
      env: z.record(z.string(), z.string()).describe('Of what holds placeholders. Other values are not shown.'),
      envNames: z.array(z.string()),
      stdin: z.string().nullable().describe('If it holds placeholders.'),
      hasStdin: z.boolean(),
      labels: z.record(z.string(), z.string()),
    })
    .loose()
    .describe('As it was submitted.'),
  member: z.string().describe('Whoever stored it last: commands are submitted with this member’s rights.'),
  createdAt: Time,
  createdBy: z.string(),
  updatedAt: Time,
};

export const TriggerView = z.object(summary).meta({ id: 'Trigger' });

export const TriggerWithSecret = z
  .object({ ...summary, secret: z.string().nullable().describe('If it was made here. It is shown only now.') })
  .meta({ id: 'TriggerWithSecret' });

export const TriggerList = z
  .object({ items: z.array(TriggerView), nextCursor: z.string().optional() })
  .meta({ id: 'TriggerList' });

const REASONS = Object.entries(DELIVERY_REASONS)
  .map(([reason, what]) => `${reason} (${what})`)
  .join(', ');
const Reason = z.string().nullable().describe(`${REASONS}, or the code of an error.`);

export const DeliveryView = z
  .object({
    at: Time,
    delivery: z.string().nullable().describe('What its sender calls it.'),
    event: z.string().nullable(),
    bytes: z.int().min(0).describe('How long its body was. Nothing of it is kept.'),
    outcome: z.enum(DELIVERY_OUTCOMES),
    command: CommandIdText.nullable(),
    reason: Reason,
    detail: z.string().nullable().describe('For a person.'),
  })
  .meta({ id: 'TriggerDelivery' });

export const DeliveryList = z
  .object({ items: z.array(DeliveryView), nextCursor: z.string().optional() })
  .meta({ id: 'TriggerDeliveryList' });

/** What its sender is told, who is no caller of the API: no detail. */
export const DeliveryAnswer = z
  .object({
    outcome: z.enum(['submitted', 'skipped', 'refused']),
    command: CommandIdText.optional(),
    reason: z.string().optional(),
  })
  .meta({ id: 'TriggerDeliveryAnswer' });

export const TestTrigger = z
  .strictObject({
    event: z.string().max(LIMITS.patternCharacters).describe('As X-GitHub-Event would say. Default: none.').optional(),
    delivery: z.string().max(LIMITS.patternCharacters).describe('What the sender would call it.').optional(),
    headers: z.record(z.string().max(100), z.string().max(4_096)).describe('More of them.').optional(),
    body: z.unknown().describe('The body, as JSON.').optional(),
    text: z.string().describe('In place of `body`: the body as text, with its content-type in headers.').optional(),
  })
  .refine((one) => one.body === undefined || one.text === undefined, {
    error: 'body and text must not both be given',
    path: ['text'],
  })
  .meta({ id: 'TestTrigger', description: 'A delivery whose sender is taken to be known.' });

export const TriggerTest = z
  .object({
    outcome: z.enum(['submitted', 'skipped', 'refused']).describe('What would become of it. Nothing was submitted.'),
    reason: Reason,
    detail: z.string().nullable(),
    filters: z.array(
      z
        .object({ on: z.string(), holds: z.boolean(), found: z.boolean().describe('Whether there is such a value.') })
        .loose(),
    ),
    command: z
      .object({
        argv: z.array(z.string()).optional(),
        env: z.record(z.string(), z.string()).describe('Of what holds placeholders.'),
        envNames: z.array(z.string()),
        stdin: z.string().nullable().describe('If it holds placeholders: as text, invalid UTF-8 replaced.'),
      })
      .loose()
      .nullable()
      .describe('With its values; null where there is none.'),
    policy: PolicyExplanation.nullable().describe(
      'What the policy makes of it, for the member whose trigger it is. Null without the permission policies:read, and without a command.',
    ),
  })
  .meta({ id: 'TriggerTest' });
