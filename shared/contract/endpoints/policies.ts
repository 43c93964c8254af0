import * as z from 'zod';
import { LIMITS } from '../../domain/limits.ts';
import type { Endpoint } from '../endpoint.ts';
import {
  AnswerApproval,
  ApplyPolicy,
  ApprovalIdText,
  ApprovalList,
  ApprovalView,
  ExplainPolicy,
  PolicyExplanation,
  PolicyVersionList,
  PolicyVersionView,
  RestorePolicy,
} from '../policy-schemas.ts';
import { wholeNumber } from '../schemas.ts';

const page = z.strictObject({
  limit: wholeNumber.pipe(z.int().min(1).max(LIMITS.listItems)).optional(),
  cursor: z.string().optional(),
});
const version = z.strictObject({
  version: z
    .string()
    .regex(/^(current|[1-9]\d{0,7})$/, 'must be a version’s number, or current')
    .meta({ description: 'A number, or `current`.' }),
});
const approval = z.strictObject({ id: ApprovalIdText });

/** What a tenant's commands may be, and who lets in what needs an approval. */
export const policyEndpoints = {
  applyPolicy: {
    method: 'POST',
    path: '/v1/policies',
    function: 'access',
    permission: 'policies:manage',
    summary: 'Apply a policy: a new version, which holds for the next submission',
    body: ApplyPolicy,
    answers: { 201: { description: 'The version.', schema: PolicyVersionView } },
  },
  listPolicies: {
    method: 'GET',
    path: '/v1/policies',
    function: 'access',
    permission: 'policies:read',
    summary: 'List the versions of the policy, newest first',
    query: page,
    answers: {
      200: { description: 'One page. `nextCursor` is there while more may follow.', schema: PolicyVersionList },
    },
  },
  getPolicy: {
    method: 'GET',
    path: '/v1/policies/{version}',
    function: 'access',
    permission: 'policies:read',
    summary: 'Read a version of the policy',
    params: version,
    answers: { 200: { description: 'The version.', schema: PolicyVersionView } },
  },
  restorePolicy: {
    method: 'POST',
    path: '/v1/policies/{version}/restore',
    function: 'access',
    permission: 'policies:manage',
    summary: 'Apply the policy of an earlier version again, as a new one',
    params: version,
    body: RestorePolicy,
    bodyOptional: true,
    answers: { 201: { description: 'The new version.', schema: PolicyVersionView } },
  },
  explainPolicy: {
    method: 'POST',
    path: '/v1/policies:explain',
    function: 'access',
    permission: 'policies:read',
    summary: 'Say what the policy, or another, makes of a command, by which rule and why; nothing is submitted',
    body: ExplainPolicy,
    answers: { 200: { description: 'The decision.', schema: PolicyExplanation } },
  },
  listApprovals: {
    method: 'GET',
    path: '/v1/approvals',
    function: 'access',
    permission: 'approvals:answer',
    summary: 'List the approvals that were asked for',
    query: page,
    answers: { 200: { description: 'One page. `nextCursor` is there while more may follow.', schema: ApprovalList } },
  },
  getApproval: {
    method: 'GET',
    path: '/v1/approvals/{id}',
    function: 'access',
    permission: 'commands:read',
    summary: 'Read an approval that was asked for',
    params: approval,
    answers: { 200: { description: 'The approval.', schema: ApprovalView } },
  },
  answerApproval: {
    method: 'POST',
    path: '/v1/approvals/{id}/answer',
    function: 'access',
    permission: 'approvals:answer',
    summary: 'Approve of a command of somebody else’s, or reject it',
    params: approval,
    body: AnswerApproval,
    answers: { 200: { description: 'The approval. An answer is final.', schema: ApprovalView } },
  },
} as const satisfies Record<string, Endpoint>;
