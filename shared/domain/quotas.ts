import type { Instant } from './clock.ts';
import type { Command } from './command.ts';

/** What a tenant is limited to, besides what its callers may do. Undefined: not limited. */
export interface TenantLimits {
  /** Of all its callers together. */
  readonly requestsPerSecond?: number | undefined;
  /** That have not ended, queued or running. */
  readonly unfinishedCommands?: number | undefined;
  /** A day is one of UTC. */
  readonly commandsPerDay?: number | undefined;
  readonly cpuSecondsPerDay?: number | undefined;
  readonly outputBytesPerDay?: number | undefined;
}

/** What was used. */
export interface Amounts {
  readonly commands: number;
  /** As the provider measured it; where it cannot, the time that commands ran. */
  readonly cpuMs: number;
  /** As commands wrote it, of both streams. */
  readonly outputBytes: number;
}

/** What a tenant used of its quotas. */
export interface Usage extends Amounts {
  /** `2026-11-24`, in UTC. */
  readonly day: string;
  /** Commands that have not ended, of whatever day. */
  readonly unfinished: number;
}

export const NOTHING_USED: Amounts = { commands: 0, cpuMs: 0, outputBytes: 0 };

/** What a command used, by its record. Where nobody measured it, the time that its attempts ran counts for each processor that it asked for. */
export const amountsOf = ({ attempts, result, spec }: Command): Amounts => {
  const ranMs = attempts.reduce(
    (sum, { startedAt, endedAt }) => sum + (startedAt === undefined || endedAt === undefined ? 0 : endedAt - startedAt),
    0,
  );
  return {
    commands: 1,
    cpuMs: Math.round(result?.usage?.cpuMs ?? ranMs * (spec.cpu ?? 1)),
    outputBytes: (result?.stdoutBytes ?? 0) + (result?.stderrBytes ?? 0),
  };
};

export const dayOf = (instant: Instant): string => new Date(instant).toISOString().slice(0, 10);
/** When the day is over. */
export const endOfDay = (instant: Instant): Instant => Date.parse(`${dayOf(instant)}T00:00:00Z`) + 24 * 3_600_000;

/** Whether its use has to be counted: counting takes a write with each command. */
export const hasQuotas = (limits: TenantLimits | undefined): limits is TenantLimits =>
  limits !== undefined &&
  [limits.unfinishedCommands, limits.commandsPerDay, limits.cpuSecondsPerDay, limits.outputBytesPerDay].some(
    (quota) => quota !== undefined,
  );

/** The name of the quota that has no room for one more command. */
export const exceeded = (
  limits: TenantLimits,
  used: Usage,
): Exclude<keyof TenantLimits, 'requestsPerSecond'> | undefined => {
  const isReached = (most: number | undefined, amount: number) => most !== undefined && amount >= most;
  if (isReached(limits.unfinishedCommands, used.unfinished)) return 'unfinishedCommands';
  if (isReached(limits.commandsPerDay, used.commands)) return 'commandsPerDay';
  if (isReached(limits.cpuSecondsPerDay, used.cpuMs / 1_000)) return 'cpuSecondsPerDay';
  if (isReached(limits.outputBytesPerDay, used.outputBytes)) return 'outputBytesPerDay';
  return undefined;
};
