import type * as z from 'zod';
import type {
  AnswerApproval,
  ApplyPolicy,
  ApprovalView,
  ExplainPolicy,
  PolicyExplanation,
  PolicyVersionList,
  PolicyVersionView,
} from '../../shared/contract/policy-schemas.ts';
import { allItems, type Json } from './transport.ts';

export type PolicyVersion = z.output<typeof PolicyVersionView>;
export type PolicyVersionSummary = z.output<typeof PolicyVersionList>['items'][number];
export type Explanation = z.output<typeof PolicyExplanation>;
export type Approval = z.output<typeof ApprovalView>;

/** What a tenant's commands may be, and approvals of those that need one. */
export interface PolicyCalls {
  /** Applies a policy as a new version. Not retried, since a repetition would make another; with `onVersion` it would be refused. */
  applyPolicy(applied: z.input<typeof ApplyPolicy>): Promise<PolicyVersion>;
  /** Newest first. */
  listPolicies(): AsyncGenerator<PolicyVersionSummary>;
  getPolicy(version: number | 'current'): Promise<PolicyVersion>;
  /** Applies an earlier version's policy again, as a new version. Not retried. */
  restorePolicy(version: number, comment?: string): Promise<PolicyVersion>;
  /** What the policy makes of a command, and why. Nothing is submitted. */
  explainPolicy(asked: z.input<typeof ExplainPolicy>): Promise<Explanation>;
  listApprovals(): AsyncGenerator<Approval>;
  getApproval(id: string): Promise<Approval>;
  /** Not retried: an answer is final, and a second one is refused. */
  answerApproval(id: string, answer: z.input<typeof AnswerApproval>): Promise<Approval>;
}

const approvalPath = (id: string): string => `/v1/approvals/${encodeURIComponent(id)}`;

export const makePolicyCalls = (json: Json): PolicyCalls => ({
  applyPolicy: (applied) => json('POST', '/v1/policies', { json: applied, tries: 1 }),
  listPolicies: () => allItems(json, '/v1/policies'),
  getPolicy: (version) => json('GET', `/v1/policies/${version}`),
  restorePolicy: (version, comment) =>
    json('POST', `/v1/policies/${version}/restore`, { json: comment === undefined ? {} : { comment }, tries: 1 }),
  explainPolicy: (asked) => json('POST', '/v1/policies:explain', { json: asked }),
  listApprovals: () => allItems(json, '/v1/approvals'),
  getApproval: (id) => json('GET', approvalPath(id)),
  answerApproval: (id, answer) => json('POST', `${approvalPath(id)}/answer`, { json: answer, tries: 1 }),
});
