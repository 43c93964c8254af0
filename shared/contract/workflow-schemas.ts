import * as z from 'zod';
import { WORKFLOW_ID, type WorkflowId } from '../domain/ids.ts';
import { JSON_POINTER } from '../domain/json-pointer.ts';
import { LIMITS } from '../domain/limits.ts';
import { faultsOf, sizeFaultOf } from '../domain/workflow-graph.ts';
import {
  NODE_ENDS,
  NODE_NAME,
  NODE_STATUSES,
  type PlannedNode,
  RUN_STATUSES,
  WORKFLOW_STATUSES,
} from '../domain/workflows.ts';
import { Name } from './access-schemas.ts';
import {
  atMostOneStdin,
  CommandIdText,
  counted,
  envName,
  exactlyOne,
  labelKey,
  labelValue,
  processText,
  submitFields,
} from './schemas.ts';

export const WorkflowIdText = z
  .string()
  .regex(WORKFLOW_ID, 'must be a workflow’s id: wfl_ and 16 characters')
  .meta({ id: 'WorkflowId' }) as unknown as z.ZodType<WorkflowId, string>;

const Time = z.iso.datetime();
const NodeName = z
  .string()
  .regex(NODE_NAME, 'must be a node’s name: letters, digits, - and _, at most 63, first a letter or digit');
const Pointer = z.string().max(255).regex(JSON_POINTER, 'must be a JSON pointer such as /items/0');
const Scalar = z.union([z.string().max(255), z.number(), z.boolean(), z.null()]);
const prefix = processText(LIMITS.pathBytes).describe('Stands before it, such as --file=.').optional();

const FromOutput = z
  .strictObject({
    fromOutput: NodeName.describe(
      'A node that it needs, or that what it needs needs. Of one with forEach: a JSON list of texts, an item each.',
    ),
    stream: z.enum(['stdout', 'stderr']).describe('Default stdout.').optional(),
    json: Pointer.describe('Reads it as JSON, and takes what this names.').optional(),
    trim: z.boolean().describe('Without the line breaks at its end. Default true, and for stdin false.').optional(),
    maxBytes: z
      .int()
      .min(1)
      .max(LIMITS.workflowInputBytes)
      .describe(`More fails the node; nothing is cut. Default ${LIMITS.workflowValueBytes}.`)
      .optional(),
    prefix,
  })
  .meta({ id: 'FromOutput', description: 'What a needed node wrote, as data.' });

const FromItem = z
  .strictObject({ fromItem: Pointer.describe('The empty text is the item itself.'), prefix })
  .meta({ id: 'FromItem', description: 'Of the item that a node with forEach runs for, as data.' });

const references = [FromOutput, FromItem] as const;
const orReference = (text: z.ZodType<string, string>, what: string) =>
  z.union([text, ...references], { error: `must be ${what}, or {"fromOutput": node} or {"fromItem": pointer}` });

const noScript = 'must be text: what nodes wrote comes by argv, env or stdin, never as part of a script';

const NodeCommand = submitFields
  // Nobody is there to use one.
  .omit({ terminal: true })
  .extend({
    argv: z
      .array(orReference(processText(LIMITS.argumentBytes), 'text'))
      .min(1, 'must name a program')
      .max(LIMITS.argvItems)
      .refine((argv) => typeof argv[0] === 'string' && argv[0] !== '', {
        error: 'the program must be given as it is, and not be empty',
        path: [0],
      })
      .optional(),
    env: counted(
      z.record(envName, orReference(processText(LIMITS.envValueBytes), 'text')),
      LIMITS.envVariables,
    ).optional(),
    stdin: orReference(
      z
        .string()
        .refine((text) => text.isWellFormed(), { error: 'must be well-formed Unicode' })
        .refine((text) => text !== 'open', { error: 'must not be open: nobody is there to write it' }),
      'text',
    ).optional(),
    script: processText(LIMITS.argumentBytes, noScript).min(1).optional(),
  })
  .refine((body) => (body.argv === undefined) !== (body.script === undefined), exactlyOne)
  .refine((body) => body.stdin === undefined || body.stdinBase64 === undefined, atMostOneStdin)
  .meta({
    id: 'NodeCommand',
    description:
      'As a command is submitted, but elements of argv, values of env, and stdin may be references to what becomes known later.',
  });
export type NodeCommand = z.output<typeof NodeCommand>;

const oneOrSome = <T extends z.ZodType>(one: T) => z.union([one, z.array(one).min(1).max(LIMITS.workflowAlternatives)]);

const Claim = z
  .strictObject({
    node: NodeName.describe('A node that it needs, or that what it needs needs.'),
    is: oneOrSome(z.enum(NODE_ENDS)).optional(),
    exitCode: oneOrSome(z.int().min(0).max(255)).optional(),
    json: Pointer.describe('Into its stdout, read as JSON.').optional(),
    equals: oneOrSome(Scalar).describe('What stands there, or one of these.').optional(),
    not: z.boolean().describe('The opposite.').optional(),
  })
  .refine(({ is, exitCode, json }) => [is, exitCode, json].filter((one) => one !== undefined).length === 1, {
    error: 'exactly one of is, exitCode and json must be given',
    path: ['is'],
  })
  .refine(({ json, equals }) => (json === undefined) === (equals === undefined), {
    error: 'json and equals belong together',
    path: ['equals'],
  })
  .meta({ id: 'NodeClaim', description: 'What is said of one needed node.' });

const claims = <T extends z.ZodType>(claim: T) => z.array(claim).min(1).max(LIMITS.workflowAlternatives);

const Condition = z
  .union([
    z.enum(['succeeded', 'failed', 'always']),
    Claim,
    z.strictObject({ all: claims(z.union([Claim, z.strictObject({ any: claims(Claim) })])) }),
    z.strictObject({ any: claims(z.union([Claim, z.strictObject({ all: claims(Claim) })])) }),
  ])
  .meta({
    id: 'WorkflowCondition',
    description: 'Judged once all needs have ended. succeeded: all of them; failed: one of them.',
  });

const item = z.union([Scalar, z.record(z.string().max(255), Scalar)]);

const ForEach = z
  .union([
    z.strictObject({ items: z.array(item).max(LIMITS.workflowItems) }),
    z.strictObject({
      fromOutput: NodeName.describe('A node that it needs, or that what it needs needs.'),
      as: z.enum(['json', 'lines']).describe('A JSON list, or a line an item without the empty ones.'),
      json: Pointer.describe('Where the list is in the JSON.').optional(),
    }),
  ])
  .meta({ id: 'ForEach', description: `Runs the command once for each item, at most ${LIMITS.workflowItems}.` });

const WorkflowNode = z
  .strictObject({
    command: NodeCommand,
    needs: z
      .array(NodeName)
      .max(LIMITS.workflowNodes)
      .describe('It is looked at when all of these have ended. Default none.')
      .optional(),
    if: Condition.describe('Default succeeded.').optional(),
    forEach: ForEach.optional(),
    allowFailure: z
      .boolean()
      .describe('Its failure fails neither the workflow nor what needs it. Default false.')
      .optional(),
  })
  .meta({ id: 'WorkflowNode' });

export const SubmitWorkflow = z
  .strictObject({
    name: Name.describe('For people. Default: none.').optional(),
    labels: counted(z.record(labelKey, labelValue), LIMITS.labels)
      .describe('Of the workflow, and of each of its commands.')
      .optional(),
    concurrency: z
      .int()
      .min(1)
      .max(LIMITS.workflowConcurrency)
      .describe('How many of its commands may be under way at once. Default 50.')
      .optional(),
    failFast: z
      .boolean()
      .describe(
        'After the first failure nothing more is begun, and what runs is canceled, but of nodes with an `if`. Default false.',
      )
      .optional(),
    timeoutSeconds: z
      .int()
      .min(1)
      .max(LIMITS.workflowTimeoutSeconds)
      .describe('Of the whole, from its start and from each resumption. Default 86400.')
      .optional(),
    nodes: counted(z.record(NodeName, WorkflowNode), LIMITS.workflowNodes).refine(
      (nodes) => Object.keys(nodes).length > 0,
      { error: 'must have a node' },
    ),
  })
  .superRefine(({ nodes }, context) => {
    const graph = nodes as Readonly<Record<string, PlannedNode>>;
    for (const { path, detail } of faultsOf(graph))
      context.addIssue({ code: 'custom', path: [...path], message: detail });
    const tooMany = sizeFaultOf(graph);
    if (tooMany) context.addIssue({ code: 'custom', path: ['nodes'], message: tooMany });
  })
  .meta({ id: 'SubmitWorkflow', description: 'Commands that need each other: a directed graph without cycles.' });
export type SubmitWorkflow = z.output<typeof SubmitWorkflow>;

export const ResumeWorkflow = z
  .strictObject({
    onGeneration: z
      .int()
      .min(1)
      .describe('Only if this is its generation now; asked again, the next one is told of.')
      .optional(),
  })
  .meta({ id: 'ResumeWorkflow' });

const runFields = {
  status: z.enum(RUN_STATUSES).describe('Claimed: it is being submitted.'),
  command: CommandIdText.nullable(),
};

const nodeFields = {
  name: z.string(),
  needs: z.array(z.string()),
  status: z.enum(NODE_STATUSES),
  command: CommandIdText.nullable().describe('Of a node without forEach, once it was submitted.'),
  exitCode: z.int().nullable(),
  reason: z
    .string()
    .nullable()
    .describe(
      'Why it did not succeed: the status of its command, the code of an error, condition, fail-fast, canceled, timed_out or restored.',
    ),
  detail: z.string().nullable().describe('For a person.'),
  startedAt: Time.nullable(),
  endedAt: Time.nullable(),
  items: z
    .object({ total: z.int(), running: z.int(), succeeded: z.int(), failed: z.int(), canceled: z.int() })
    .nullable()
    .describe('Of a node with forEach, once its items are known.'),
};

/** As it is told when it changes. */
export const NodeSummary = z.object(nodeFields).meta({ id: 'WorkflowNodeSummary' });
export type NodeSummary = z.output<typeof NodeSummary>;

export const NodeView = z
  .object({ ...nodeFields, runs: z.array(z.object(runFields)).describe('Its commands, in the order of the items.') })
  .meta({ id: 'WorkflowNodeView' });

const summary = {
  id: WorkflowIdText,
  name: z.string(),
  status: z.enum(WORKFLOW_STATUSES),
  stopping: z.boolean().describe('It is being canceled, or was for its time-out: nothing more is begun.'),
  generation: z.int().min(1).describe('One more with each resumption.'),
  labels: z.record(z.string(), z.string()),
  member: z.string().describe('Whoever submitted or resumed it last: its commands run with this member’s rights.'),
  submittedAt: Time,
  startedAt: Time.describe('Of this generation.'),
  deadlineAt: Time,
  endedAt: Time.nullable(),
  counts: z
    .object({
      waiting: z.int(),
      running: z.int(),
      succeeded: z.int(),
      failed: z.int(),
      skipped: z.int(),
      canceled: z.int(),
    })
    .describe('Nodes by status.'),
  traceId: z
    .string()
    .optional()
    .describe('The trace that it belongs to, with all of its commands. Absent without one.'),
};

export const WorkflowSummary = z.object(summary).meta({ id: 'WorkflowSummary' });
export type WorkflowSummary = z.output<typeof WorkflowSummary>;

export const WorkflowView = z
  .object({ ...summary, nodes: z.array(NodeView).describe('Each behind all that it needs.') })
  .meta({ id: 'Workflow' });
export type WorkflowView = z.output<typeof WorkflowView>;

export const WorkflowList = z
  .object({ items: z.array(WorkflowSummary), nextCursor: z.string().optional() })
  .meta({ id: 'WorkflowList' });

/** The live events of a workflow, by name. */
export interface WorkflowEvents {
  /** All of it, first of all. */
  readonly workflow: WorkflowView;
  /** One of its nodes, as it is now. */
  readonly node: NodeSummary;
  readonly heartbeat: Record<string, never>;
  /** The last one. */
  readonly end: WorkflowView;
}
