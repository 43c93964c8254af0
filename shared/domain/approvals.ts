import type { Instant } from './clock.ts';
import type { CommandId } from './ids.ts';

export const APPROVAL_STATES = ['pending', 'approved', 'rejected', 'used', 'expired'] as const;
export type ApprovalState = (typeof APPROVAL_STATES)[number];

/** What is asked of an approver: may this caller submit just this, once. */
export interface Approval {
  /** Follows from who asks and from all of what is asked: another command is another approval. */
  readonly id: string;
  readonly requestedBy: string;
  readonly requestedAt: Instant;
  /** Not to be answered, or used, any more. */
  readonly expiresAt: Instant;
  readonly policyVersion: number;
  readonly rule?: string;
  /** What an approver is shown. Values of variables and input are bound by the id, and not shown. */
  readonly request: {
    readonly argv?: readonly string[];
    readonly script?: string;
    readonly shell?: string;
    readonly target: string;
    readonly image?: string;
    readonly isolation: string;
    readonly envNames: readonly string[];
    readonly secrets: Readonly<Record<string, string>>;
    readonly timeoutSeconds: number;
    readonly labels: Readonly<Record<string, string>>;
    /** SHA-256 of its input, in hex; absent without one. */
    readonly stdinHash?: string;
  };
  readonly answer?: {
    readonly approved: boolean;
    readonly by: string;
    readonly at: Instant;
    readonly comment?: string;
  };
  /** The one command that it was used for. */
  readonly usedFor?: CommandId;
}

export const stateOf = ({ usedFor, answer, expiresAt }: Approval, now: Instant): ApprovalState => {
  if (usedFor !== undefined) return 'used';
  if (answer?.approved === false) return 'rejected';
  if (now >= expiresAt) return 'expired';
  return answer ? 'approved' : 'pending';
};
