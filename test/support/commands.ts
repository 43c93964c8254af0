import type { Attempt, Command, CommandSpec } from '../../shared/domain/command.ts';
import { type CommandId, toTenantId } from '../../shared/domain/ids.ts';
import { DEFAULT_RULES } from '../../shared/engine/rules.ts';
import type { Outlook, StepContext, TargetTraits } from '../../shared/engine/types.ts';

export const T0 = Date.parse('2030-01-01T00:00:00Z');
export const SECOND = 1_000;
export const commandId = (n = 1): CommandId => `cmd_${String(n).padStart(26, '0')}` as CommandId;

const aSpec = (over: Partial<CommandSpec> = {}): CommandSpec => ({
  argv: ['true'],
  shell: '/bin/sh',
  target: 'local',
  env: {},
  stdin: { kind: 'none' },
  timeoutSeconds: 60,
  queueTtlSeconds: 600,
  priority: 'normal',
  labels: {},
  isolation: 'none',
  retry: { maxAttempts: 1, on: [] },
  ...over,
});

/** A command that was submitted at T0 and waits. */
export const aCommand = (over: Partial<Command> = {}, spec: Partial<CommandSpec> = {}): Command => {
  const full = aSpec(spec);
  return {
    id: commandId(),
    tenant: toTenantId('default'),
    spec: full,
    status: 'queued',
    submittedBy: 'owner',
    submittedAt: T0,
    dueAt: T0 + 30 * SECOND,
    expiresAt: T0 + full.queueTtlSeconds * SECOND,
    signals: [],
    attempts: [],
    ...over,
  };
};

export const anAttempt = (over: Partial<Attempt> = {}): Attempt => ({
  number: 1,
  target: 'local',
  status: 'starting',
  ticket: 'ticket-1',
  worker: 'worker-1',
  requestedAt: T0,
  leaseUntil: T0 + 60 * SECOND,
  ...over,
});

/** Its ticket is not redeemed. */
export const aStarting = (over: Partial<Command> = {}, spec: Partial<CommandSpec> = {}): Command =>
  aCommand({ status: 'starting', attempts: [anAttempt()], dueAt: T0 + 60 * SECOND, ...over }, spec);

/** Redeemed at T0, with 60 s to run and a lease of 30 s. */
export const aRunning = (over: Partial<Command> = {}, spec: Partial<CommandSpec> = {}): Command => {
  const attempt = anAttempt({
    status: 'running',
    startedAt: T0,
    deadlineAt: T0 + 60 * SECOND,
    leaseUntil: T0 + 30 * SECOND,
  });
  return aCommand({ status: 'running', startedAt: T0, attempts: [attempt], dueAt: T0 + 30 * SECOND, ...over }, spec);
};

export const INLINE: TargetTraits = {
  startTicket: true,
  mode: 'inline',
  runner: 'in-process',
  startSeconds: 60,
  leavesBehind: false,
};
/** Inline, and told of by a runner elsewhere when whoever reads it is gone. */
export const STREAMED: TargetTraits = { ...INLINE, runner: 'remote' };
export const DETACHED: TargetTraits = {
  startTicket: true,
  mode: 'detached',
  runner: 'remote',
  startSeconds: 300,
  leavesBehind: true,
};

/** Every target is healthy, and none is a pool. */
const WELL: Outlook = { of: () => ({ state: 'healthy', startMs: 0 }), pool: () => undefined };

/** `target`: the traits of all targets. */
export const at = (
  seconds: number,
  { target = INLINE, ...over }: Partial<StepContext> & { readonly target?: TargetTraits } = {},
): StepContext => ({
  now: T0 + seconds * SECOND,
  fraction: 0.5,
  rules: DEFAULT_RULES,
  traitsOf: () => target,
  outlook: WELL,
  ...over,
});
