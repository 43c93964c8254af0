import type { AuditEvent } from '../domain/audit.ts';
import { toTimestamp } from '../domain/clock.ts';
import type { Command } from '../domain/command.ts';
import type { TenantId } from '../domain/ids.ts';
import { type Observed, observeCommand, observeRefusal } from '../security/detector.ts';
import type { KeptProfile } from '../store/audit-log.ts';
import type { Deps } from './deps.ts';

/** What happened to a tenant, in order. */
export interface Happened {
  readonly events: readonly AuditEvent[];
  readonly commands: readonly Command[];
}

/** What actors usually do by now, and what of it was unusual. */
export interface Watched {
  readonly profiles: ReadonlyMap<string, KeptProfile>;
  readonly alerts: readonly AuditEvent[];
}

const REFUSALS: readonly string[] = ['command.denied', 'access.forbidden'] satisfies AuditEvent['type'][];
/** Of one command: a script that runs more is unusual by its other programs too. */
const MOST_PROGRAMS = 20;

/** Holds what happened against what each actor usually does. Pure but for the reading of the profiles. */
export const watchActors = async (
  { auditLog }: Pick<Deps, 'auditLog'>,
  tenant: TenantId,
  { events, commands }: Happened,
): Promise<Watched> => {
  const refusals = events.filter(({ type }) => REFUSALS.includes(type));
  const actors = new Set([...refusals.map(({ actor }) => actor.id), ...commands.map(({ submittedBy }) => submittedBy)]);
  if (actors.size === 0) return { profiles: new Map(), alerts: [] };
  // The reader of scripts is large: it is loaded with the first command.
  const { readCommand } = await import('../policy/reading.ts');
  const kept = await auditLog.profiles(tenant, [...actors]);
  const profiles = new Map(kept);
  const alerts: AuditEvent[] = [];
  const see = (actor: string, subject: string, at: number, observe: (before: KeptProfile['profile']) => Observed) => {
    const { profile: before, version = 0 } = profiles.get(actor) ?? {};
    const { profile, alerts: fired } = observe(before);
    profiles.set(actor, { profile, version });
    for (const { kind, because } of fired) {
      const details = { kind, because };
      alerts.push({ type: 'security.alert', at: toTimestamp(at), actor: { id: actor }, subject, details });
    }
  };
  for (const { actor, at, subject } of refusals) {
    const instant = Date.parse(at);
    see(actor.id, subject, instant, (before) => observeRefusal(before, instant));
  }
  for (const { id, submittedBy, submittedAt: at, submittedWith, spec } of commands) {
    const programs = programsOf(readCommand(spec).invocations);
    see(submittedBy, id, at, (before) => observeCommand(before, { at, programs, place: submittedWith?.place }));
  }
  return { profiles, alerts };
};

const programsOf = (invocations: readonly { readonly program: string; readonly builtin?: true }[]): string[] => {
  const names = invocations
    .filter(({ program, builtin }) => !builtin && program !== '>' && program !== '<')
    .map(({ program }) => program.slice(program.lastIndexOf('/') + 1));
  return [...new Set(names)].slice(0, MOST_PROGRAMS);
};
