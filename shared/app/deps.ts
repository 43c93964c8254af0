import type { Access } from '../access/access.ts';
import type { Signer } from '../audit/signing.ts';
import type { SignedCheckpoint } from '../domain/audit.ts';
import type { Clock, Random } from '../domain/clock.ts';
import type { Pool } from '../domain/pools.ts';
import type { Egress } from '../egress/egress.ts';
import type { EngineRules } from '../engine/rules.ts';
import type { Changes } from '../events/changes.ts';
import type { EventFeed } from '../events/event-feed.ts';
import type { Subscription } from '../events/subscription.ts';
import type { Meter } from '../limits/meter.ts';
import type { Rates } from '../limits/rates.ts';
import type { Health, Provider, ProviderFeatures } from '../providers/provider.ts';
import type { Queue } from '../queue/queue.ts';
import type { Secrets } from '../secrets/secrets.ts';
import type { Vault } from '../secrets/vault.ts';
import type { Answers } from '../store/answers.ts';
import type { Approvals } from '../store/approvals.ts';
import type { AuditLog } from '../store/audit-log.ts';
import type { CommandOrder } from '../store/command-order.ts';
import type { Commands } from '../store/commands.ts';
import type { Erasure } from '../store/erasure.ts';
import type { EventCursors } from '../store/event-cursors.ts';
import type { OutputLog } from '../store/output-log.ts';
import type { Policies } from '../store/policies.ts';
import type { Principals } from '../store/principals.ts';
import type { Schedules } from '../store/schedules.ts';
import type { Sessions } from '../store/sessions.ts';
import type { StdinLog } from '../store/stdin-log.ts';
import type { Store } from '../store/store.ts';
import type { Triggers } from '../store/triggers.ts';
import type { Webhooks } from '../store/webhooks.ts';
import type { Workflows } from '../store/workflows.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import type { SigningKeys } from '../webhooks/signing-keys.ts';
import type { Fleet } from './fleet.ts';
import type { GoneRuns } from './gone-runs.ts';
import type { HeldRuns } from './held-runs.ts';
import type { HeldSessions } from './held-sessions.ts';
import type { TerminalSizes } from './terminal-sizes.ts';

/** A configured place of a provider. */
export interface Target {
  readonly name: string;
  readonly provider: string;
  /** Known without loading the provider's SDK. */
  readonly features: ProviderFeatures;
  /** What an hour of a command costs there, by which pools choose. */
  readonly pricePerHour?: number | undefined;
  /** Loads the provider on first use. */
  load(): Promise<Provider>;
  /** How it is, as far as this process can know. */
  health(): Promise<Health>;
}

/** All that the use cases need from outside; made once by a composition root (functions/wire.ts, local/embedded.ts). */
export interface Deps {
  readonly clock: Clock;
  readonly random: Random;
  readonly access: Access;
  readonly principals: Principals;
  readonly policies: Policies;
  readonly approvals: Approvals;
  readonly auditLog: AuditLog;
  /** Signs what this installation states. */
  readonly signer: () => Promise<Signer>;
  /** Puts a checkpoint where it cannot be changed or removed; nowhere, where there is no such place. */
  readonly keepCheckpoint: (checkpoint: SignedCheckpoint) => Promise<void>;
  /** So long what happened waits for what may still come before it. */
  readonly auditSettleSeconds: number;
  /** Whether whoever reads the audit log sees all that happened until then, as nothing lags behind here. */
  readonly sealsOnRead: boolean;
  /** So long after a tenant was shut for good, what was under way then may still write. */
  readonly removalSettleSeconds: number;
  readonly order: CommandOrder;
  readonly rates: Rates;
  readonly meter: Meter;
  readonly rules: EngineRules;
  readonly store: Store;
  readonly commands: Commands;
  readonly output: OutputLog;
  readonly stdin: StdinLog;
  readonly secrets: Secrets;
  /** Where values are that are no tenant's named secrets. */
  readonly vault: Vault;
  readonly erasure: Erasure;
  readonly schedules: Schedules;
  /** What is kept of warm shells. */
  readonly sessions: Sessions;
  /** Those whose shell this process holds. */
  readonly heldSessions: HeldSessions;
  readonly triggers: Triggers;
  readonly webhooks: Webhooks;
  readonly signingKeys: SigningKeys;
  /** The only door to addresses that callers name. */
  readonly egress: Egress;
  readonly workflows: Workflows;
  readonly queue: Queue;
  readonly changes: Changes;
  /** Lets who listens hear of events at once. */
  readonly eventFeed: EventFeed;
  /** Who is told of all tenants' events, each at least once. */
  readonly subscriptions: readonly Subscription[];
  readonly eventCursors: EventCursors;
  readonly answers: Answers;
  /** The first is the default. */
  readonly targets: readonly [Target, ...Target[]];
  /** Targets under one name. */
  readonly pools: readonly Pool[];
  /** How the targets are. */
  readonly fleet: Fleet;
  /** The runs that this process carries. */
  readonly runs: HeldRuns;
  readonly goneRuns: GoneRuns;
  /** Of the terminals that are looked at from here. */
  readonly terminalSizes: TerminalSizes;
  /** Who this process is, in attempts that it holds. */
  readonly worker: string;
  /** How often those who wait look at the store, in case a change was not announced here. */
  readonly lookEverySeconds: number;
  /** Aborts when this process is about to end. */
  readonly closing: AbortSignal;
  readonly log: Log;
  readonly tracing: Tracing;
  readonly metrics: Metrics;
}
