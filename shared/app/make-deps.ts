import { makeCommandIds } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import { closedEgress } from '../egress/egress.ts';
import { DEFAULT_RULES } from '../engine/rules.ts';
import type { Subscription } from '../events/subscription.ts';
import { makeMeter } from '../limits/meter.ts';
import { makeRates } from '../limits/rates.ts';
import type { Objects } from '../objects/objects.ts';
import { makeSecrets } from '../secrets/secrets.ts';
import { makeAnswers } from '../store/answers.ts';
import { makeApprovals } from '../store/approvals.ts';
import { makeAuditLog } from '../store/audit-log.ts';
import { makeCommandOrder } from '../store/command-order.ts';
import { makeCommands } from '../store/commands.ts';
import { makeErasure } from '../store/erasure.ts';
import { makeEventCursors } from '../store/event-cursors.ts';
import { DEFAULT_OUTPUT, makeOutputLog } from '../store/output-log.ts';
import { makePolicies } from '../store/policies.ts';
import { makePrincipals } from '../store/principals.ts';
import { makeSchedules } from '../store/schedules.ts';
import { makeSessions } from '../store/sessions.ts';
import { makeStdinLog } from '../store/stdin-log.ts';
import { makeTriggers } from '../store/triggers.ts';
import { makeWebhooks } from '../store/webhooks.ts';
import { makeWorkflows } from '../store/workflows.ts';
import { noMetrics } from '../telemetry/metrics.ts';
import { noTracing } from '../telemetry/tracing.ts';
import { makeSigningKeys } from '../webhooks/signing-keys.ts';
import type { Deps } from './deps.ts';
import { makeEventFeed } from './event-feed.ts';
import { makeFleet } from './fleet.ts';
import { makeGoneRuns } from './gone-runs.ts';
import { makeHeldRuns } from './held-runs.ts';
import { makeHeldSessions } from './held-sessions.ts';
import { meteredTarget } from './metered-target.ts';
import { makeTerminalSizes } from './terminal-sizes.ts';

/** What a composition root chooses; the rest of Deps is the same everywhere. */
export interface Parts
  extends Pick<
    Deps,
    | 'clock'
    | 'random'
    | 'access'
    | 'store'
    | 'queue'
    | 'changes'
    | 'targets'
    | 'worker'
    | 'lookEverySeconds'
    | 'closing'
    | 'log'
    | 'signer'
    | 'keepCheckpoint'
    | 'auditSettleSeconds'
    | 'sealsOnRead'
    | 'removalSettleSeconds'
    | 'vault'
  > {
  readonly objects: Objects;
  /** @default none */
  readonly subscriptions?: readonly Subscription[];
  /** @default none */
  readonly pools?: Deps['pools'];
  /** @default it asks nobody */
  readonly egress?: Deps['egress'];
  /** @default nothing is told of */
  readonly tracing?: Deps['tracing'];
  /** @default nothing is counted */
  readonly metrics?: Deps['metrics'];
}

export const makeDeps = (parts: Parts): Deps => {
  const { clock, random, store, objects, vault, changes, closing, lookEverySeconds, pools = [], log } = parts;
  const { metrics = noMetrics, tracing = noTracing } = parts;
  const targets = metrics === noMetrics ? parts.targets : metered(parts.targets, metrics, clock);
  const auditLog = makeAuditLog(store, clock, random, changes);
  const isTimed = (name: string) => pools.some(({ by, targets: names }) => by === 'latency' && names.includes(name));
  const deps: Omit<Deps, 'eventFeed'> = {
    subscriptions: [],
    egress: closedEgress,
    ...parts,
    ...{ pools, targets, metrics, tracing },
    fleet: makeFleet({ store, clock, auditLog, log, targets, isTimed, closing }),
    order: makeCommandOrder(store, makeCommandIds(clock, random)),
    rates: makeRates(clock),
    meter: makeMeter(store, clock),
    rules: DEFAULT_RULES,
    commands: makeCommands(store, random, clock),
    output: makeOutputLog(store, objects, {
      ...DEFAULT_OUTPUT,
      clock,
      closing,
      keepBytes: LIMITS.outputBytes,
      stored: (reference) => changes.announce(reference, 'output'),
    }),
    stdin: makeStdinLog(store, objects, changes, random, lookEverySeconds),
    principals: makePrincipals(store),
    auditLog,
    policies: makePolicies(store),
    approvals: makeApprovals(store),
    secrets: makeSecrets({ store, vault, clock, random }),
    erasure: makeErasure(store, objects),
    schedules: makeSchedules(store, changes.announceSchedule),
    sessions: makeSessions(store),
    heldSessions: makeHeldSessions(),
    triggers: makeTriggers(store),
    webhooks: makeWebhooks(store, clock),
    signingKeys: makeSigningKeys({ vault, random, clock }),
    workflows: makeWorkflows(store, random, (reference) => changes.announce(reference, 'record')),
    runs: makeHeldRuns(),
    goneRuns: makeGoneRuns({ clock, closing }),
    terminalSizes: makeTerminalSizes(),
    eventCursors: makeEventCursors(store),
    answers: makeAnswers(store),
  };
  return { ...deps, eventFeed: makeEventFeed(deps) };
};

const metered = (
  [first, ...others]: Deps['targets'],
  metrics: Deps['metrics'],
  clock: Deps['clock'],
): Deps['targets'] => [
  meteredTarget(first, metrics, clock),
  ...others.map((one) => meteredTarget(one, metrics, clock)),
];
