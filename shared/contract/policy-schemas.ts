import * as z from 'zod';
import { APPROVAL_STATES } from '../domain/approvals.ts';
import { ISOLATION_LEVELS } from '../domain/command.ts';
import { LIMITS } from '../domain/limits.ts';
import { EFFECTS, WEEKDAYS } from '../domain/policy.ts';
import { labelKey, SubmitCommand, TimeZone } from './schemas.ts';

const Time = z.iso.datetime();
const Pattern = z
  .string()
  .min(1)
  .max(LIMITS.patternCharacters)
  .regex(/^\P{C}*$/u, 'must not contain control characters');
const Patterns = z.array(Pattern).min(1).max(LIMITS.policyPatterns);
const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time such as 08:30');

const HoursSchema = z
  .strictObject({
    timeZone: TimeZone,
    days: z
      .array(z.enum(WEEKDAYS))
      .min(1)
      .optional()
      .describe('Default: all. Over midnight: the day on which it begins.'),
    from: TimeOfDay,
    to: TimeOfDay.describe('Not any more at this minute; before `from`: over midnight.'),
  })
  .refine(({ from, to }) => from !== to, { error: 'must differ from `from`', path: ['to'] })
  .meta({ id: 'Hours' });

const conditions = {
  roles: Patterns.optional(),
  members: Patterns.optional().describe('By id.'),
  programs: Patterns.optional().describe(
    'By name or path. A name that is allowed means a program in a system folder; one that is denied, in any. `>` and `<` are files that a script writes and reads.',
  ),
  everyArgument: Patterns.optional().describe('Each argument is one of these.'),
  anyArgument: Patterns.optional().describe('Some argument is one of these.'),
  targets: Patterns.optional(),
  images: Patterns.optional().describe('Of a command that names an image.'),
  labels: z.record(labelKey, Pattern).optional().describe('All of them.'),
  secrets: Patterns.optional().describe('Some secret that it is given is one of these.'),
  isolationBelow: z.enum(ISOLATION_LEVELS).optional(),
  network: z
    .enum(['reachable', 'none'])
    .optional()
    .describe('Whether it can reach one. What a target does not tell is reachable.'),
  over: z
    .strictObject({
      timeoutSeconds: z.int().min(0).optional(),
      queueTtlSeconds: z.int().min(0).optional(),
      cpu: z.number().min(0).optional(),
      memoryMiB: z.int().min(0).optional(),
      attempts: z.int().min(0).optional(),
    })
    .optional()
    .describe('It asks for more than any one of these.'),
  hours: HoursSchema.optional(),
};

const Conditions = z
  .strictObject(conditions)
  .refine((given) => Object.keys(given).length > 0, { error: 'must have a condition' })
  .meta({
    id: 'Conditions',
    description: 'All that is given must hold. In patterns, * stands for any characters, ? for one.',
  });

const Rule = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and -, at most 63'),
    effect: z.enum(EFFECTS).describe('Whatever their order, deny wins over approval, and approval over allow.'),
    reason: z.string().max(LIMITS.nameCharacters).optional().describe('What who is refused is told.'),
    ...conditions,
    except: Conditions.optional().describe('It does not apply where all of this holds.'),
  })
  .meta({ id: 'PolicyRule' });

const PolicySchema = z
  .strictObject({
    default: z.enum(EFFECTS).describe('What no rule applies to.'),
    unreadable: z
      .enum(EFFECTS)
      .optional()
      .describe(
        'Commands of which it cannot be told what they run, where a rule is about programs or arguments. Default: deny.',
      ),
    rules: z.array(Rule).max(LIMITS.policyRules),
  })
  .superRefine(({ rules }, context) => {
    for (const [i, { name }] of rules.entries()) {
      if (rules.findIndex((rule) => rule.name === name) === i) continue;
      context.addIssue({ code: 'custom', path: ['rules', i, 'name'], message: 'is the name of another rule' });
    }
  })
  .meta({ id: 'Policy' });

const Comment = z.string().max(LIMITS.nameCharacters);

export const ApplyPolicy = z
  .strictObject({
    policy: PolicySchema,
    comment: Comment.optional(),
    onVersion: z.int().min(0).optional().describe('Only if this is the present version; 0: if there is none.'),
  })
  .meta({ id: 'ApplyPolicy' });

export const RestorePolicy = z.strictObject({ comment: Comment.optional() }).meta({ id: 'RestorePolicy' });

const versionFields = {
  version: z.int().min(1),
  present: z.boolean().describe('Whether it holds now.'),
  comment: z.string().nullable(),
  restored: z.int().nullable().describe('The version whose policy this is again.'),
  appliedAt: Time,
  appliedBy: z.string(),
};
export const PolicyVersionView = z
  .object({
    ...versionFields,
    policy: PolicySchema,
    warnings: z.array(z.string()).describe('What to know of it, such as that a program it allows can run any other.'),
  })
  .meta({ id: 'PolicyVersion' });
export const PolicyVersionList = z
  .object({ items: z.array(z.object({ ...versionFields, rules: z.int().min(0) })), nextCursor: z.string().optional() })
  .meta({ id: 'PolicyVersionList' });

export const ExplainPolicy = z
  .strictObject({
    command: SubmitCommand,
    policy: PolicySchema.optional().describe('Instead of the present one.'),
    role: Pattern.optional().describe('Instead of the caller’s.'),
    member: Pattern.optional().describe('Instead of the caller.'),
    at: Time.optional().describe('Instead of now.'),
  })
  .meta({ id: 'ExplainPolicy' });

export const PolicyExplanation = z
  .object({
    effect: z.enum(EFFECTS),
    rule: z
      .string()
      .nullable()
      .describe('The rule that decides. Null: the default, or that the command cannot be read.'),
    because: z.string().describe('One sentence for a person.'),
    version: z.int().nullable().describe('Of the present policy. Null: another was given, or there is none.'),
    unreadable: z
      .array(z.string())
      .describe('Why it cannot be told what the command runs. Empty when it can, or no rule asks.'),
    programs: z
      .array(
        z.object({
          program: z.string(),
          arguments: z.array(z.string().nullable()).describe('Null: known only when it runs.'),
          builtin: z.boolean().describe('The shell does it by itself.'),
          effect: z.enum(EFFECTS),
          rules: z.array(z.string()).describe('All that apply, those that decide first.'),
        }),
      )
      .describe('What the command runs, as far as can be told, and what applies to each.'),
  })
  .meta({ id: 'PolicyExplanation' });

export const ApprovalIdText = z
  .string()
  .regex(/^apr_[0-9a-f]{32}$/, 'must be an approval’s id: apr_ and 32 characters');

export const ApprovalView = z
  .object({
    id: z.string(),
    state: z.enum(APPROVAL_STATES),
    requestedBy: z.string(),
    requestedAt: Time,
    expiresAt: Time.describe('Not to be answered, or used, any more.'),
    policyVersion: z.int(),
    rule: z.string().nullable(),
    request: z
      .object({
        argv: z.array(z.string()).optional(),
        script: z.string().optional(),
        shell: z.string().optional(),
        target: z.string(),
        failover: z.array(z.string()).optional(),
        image: z.string().optional(),
        isolation: z.string(),
        envNames: z.array(z.string()),
        secrets: z.record(z.string(), z.string()),
        timeoutSeconds: z.int(),
        labels: z.record(z.string(), z.string()),
        stdinHash: z.string().optional().describe('SHA-256 of its input, in hex.'),
      })
      .describe('The command. Any other needs another approval; that holds for values of variables and input too.'),
    answeredBy: z.string().nullable(),
    answeredAt: Time.nullable(),
    comment: z.string().nullable(),
    usedFor: z.string().nullable().describe('The command that was submitted with it.'),
  })
  .meta({ id: 'Approval' });
export const ApprovalList = z
  .object({ items: z.array(ApprovalView), nextCursor: z.string().optional() })
  .meta({ id: 'ApprovalList' });
export const AnswerApproval = z
  .strictObject({ approve: z.boolean(), comment: Comment.optional() })
  .meta({ id: 'AnswerApproval' });
