import type { Instant } from './clock.ts';
import type { Isolation } from './command.ts';
import type { Credential } from './credential.ts';
import type { TenantId } from './ids.ts';

/** `ses_` and 16 hex digits: a warm shell. Session tokens (`sst_…`) are another thing. */
export type SessionId = string & { readonly __brand: 'SessionId' };
export const SESSION_ID = /^ses_[0-9a-f]{16}$/;

/** The shells that are kept warm: those whose ways with interrupts and errors are known. */
export const SESSION_SHELLS = ['/bin/sh', 'bash'] as const;
export type SessionShell = (typeof SESSION_SHELLS)[number];

export const SESSION_STATES = ['starting', 'active', 'ended'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/**
 * Why a session ended: on request; unused for too long; at the end of its life; its shell left, by a script or by itself; its server
 * stopped, or died; whoever made it may not use it any more; its shell never came up.
 */
export const SESSION_ENDS = [
  'requested',
  'idle',
  'max-life',
  'exited',
  'server-stopped',
  'lost',
  'revoked',
  'not-started',
] as const;
export type SessionEnd = (typeof SESSION_ENDS)[number];

/** A warm shell of one actor: what the store keeps of it. The shell itself is in the memory of the worker that holds it. */
export interface Session {
  readonly id: SessionId;
  readonly tenant: TenantId;
  /** Whose it is; nobody else has its scripts run. */
  readonly member: string;
  readonly credential: Credential;
  readonly name: string;
  readonly spec: {
    readonly target: string;
    readonly shell: SessionShell;
    readonly env: Readonly<Record<string, string>>;
    readonly cwd?: string;
    readonly isolation: Isolation;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly idleSeconds: number;
  readonly maxLifeSeconds: number;
  /** Which process holds the shell. */
  readonly worker: string;
  readonly state: SessionState;
  readonly createdAt: Instant;
  readonly endedAt?: Instant;
  readonly reason?: SessionEnd;
  /** One sentence for a person. */
  readonly detail?: string;
  /** As stored at its end; meanwhile, its worker knows. */
  readonly lastUsedAt: Instant;
}

export const isEnded = ({ state }: Pick<Session, 'state'>): boolean => state === 'ended';

/** When it ends by itself, if it is not used before. */
export const expiryOf = (
  { createdAt, idleSeconds, maxLifeSeconds }: Pick<Session, 'createdAt' | 'idleSeconds' | 'maxLifeSeconds'>,
  lastUsedAt: Instant,
  isBusy: boolean,
): { readonly at: Instant; readonly reason: 'idle' | 'max-life' } => {
  const lifeEndsAt = createdAt + maxLifeSeconds * 1_000;
  const idleEndsAt = isBusy ? Number.POSITIVE_INFINITY : lastUsedAt + idleSeconds * 1_000;
  return idleEndsAt < lifeEndsAt ? { at: idleEndsAt, reason: 'idle' } : { at: lifeEndsAt, reason: 'max-life' };
};
