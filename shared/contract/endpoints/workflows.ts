import * as z from 'zod';
import { LIMITS } from '../../domain/limits.ts';
import { WORKFLOW_STATUSES } from '../../domain/workflows.ts';
import type { Endpoint } from '../endpoint.ts';
import { wholeNumber } from '../schemas.ts';
import { ResumeWorkflow, SubmitWorkflow, WorkflowIdText, WorkflowList, WorkflowView } from '../workflow-schemas.ts';

const workflow = z.strictObject({ id: WorkflowIdText });
const view = (description: string) => ({ description, schema: WorkflowView });

/** Commands that need each other. They are commands, so the rights are those of commands. */
export const workflowEndpoints = {
  submitWorkflow: {
    method: 'POST',
    path: '/v1/workflows',
    function: 'workflows',
    permission: 'commands:submit',
    summary: 'Submit commands that need each other, as one graph',
    headers: { 'idempotency-key': 'The same key and body twice give one workflow and the same answer, for 24 hours.' },
    body: SubmitWorkflow,
    answers: { 202: view('Stored durably, and each command checked as far as it is known; it will run.') },
  },
  listWorkflows: {
    method: 'GET',
    path: '/v1/workflows',
    function: 'workflows',
    permission: 'commands:read',
    summary: 'List workflows, newest first',
    query: z.strictObject({
      status: z.enum(WORKFLOW_STATUSES).optional(),
      limit: wholeNumber.pipe(z.int().min(1).max(LIMITS.listItems)).optional(),
      cursor: z.string().optional(),
    }),
    answers: { 200: { description: 'One page. `nextCursor` is there while more may follow.', schema: WorkflowList } },
  },
  getWorkflow: {
    method: 'GET',
    path: '/v1/workflows/{id}',
    function: 'workflows',
    permission: 'commands:read',
    summary: 'Read a workflow with the state and the commands of each node',
    params: workflow,
    answers: { 200: view('The workflow.') },
  },
  cancelWorkflow: {
    method: 'POST',
    path: '/v1/workflows/{id}/cancel',
    function: 'workflows',
    permission: 'commands:control',
    summary: 'Begin nothing more of a workflow, and cancel what runs of it',
    params: workflow,
    answers: { 202: view('Taken. `canceled` once all of it was seen gone. Twice is the same as once.') },
  },
  resumeWorkflow: {
    method: 'POST',
    path: '/v1/workflows/{id}/resume',
    function: 'workflows',
    permission: 'commands:submit',
    summary: 'Run again what did not succeed of an ended workflow, and what needs that',
    params: workflow,
    body: ResumeWorkflow,
    bodyOptional: true,
    answers: { 202: view('Under way. What had succeeded keeps its commands and their results.') },
  },
  followWorkflow: {
    method: 'GET',
    path: '/v1/workflows/{id}/events',
    function: 'output',
    permission: 'commands:read',
    summary: 'Follow a workflow live until it has ended',
    params: workflow,
    headers: {
      accept: '`text/event-stream` follows it; otherwise it is answered as it is now.',
      prefer:
        '`wait=N` makes it a long poll: the events end, with a heartbeat, once there was one, or after N seconds.',
    },
    answers: {
      200: {
        description:
          'The workflow. Live: events `workflow` with all of it, first of all, `node` with each that changed, `heartbeat`, and `end` with all of it.',
        schema: WorkflowView,
        mediaTypes: ['text/event-stream'],
      },
    },
  },
} as const satisfies Record<string, Endpoint>;
