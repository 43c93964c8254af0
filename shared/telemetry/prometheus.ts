import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Clock } from '../domain/clock.ts';
import { type Attempt, type Command, isFinal, PRIORITIES } from '../domain/command.ts';
import { HEALTH_STATES } from '../domain/health.ts';
import type { Loop, Metrics } from './metrics.ts';
import { makeUnfinished } from './unfinished.ts';
import { makeWaitingDeliveries } from './waiting-deliveries.ts';

export interface PrometheusOptions {
  readonly clock: Pick<Clock, 'now'>;
  /** All that there are. Another name, such as that of a target that is no longer configured, counts as `other`. */
  readonly targets: readonly string[];
}

const UNFINISHED = ['queued', 'starting', 'running'] as const;
const QUICK_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const STORE_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];
const WAIT_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600];
const RUN_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400];
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** Figures in the text format of Prometheus (0.0.4), in a registry of their own. docs/observability.md lists them. */
export const prometheusMetrics = ({ clock, targets }: PrometheusOptions): Metrics => {
  const registers = [new Registry()] as [Registry];
  const [registry] = registers;
  // Each is 0 before it first counts, where its labels are known: a rate over what was not there yet is missed.
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter({ name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[], collect = () => {}) =>
    new Gauge({ name, help, labelNames, registers, collect });
  const histogram = <L extends string>(name: string, help: string, labelNames: readonly L[], buckets: number[]) =>
    new Histogram({ name, help, labelNames, buckets, registers });
  const names = new Set(targets);
  const toTarget = (name: string): string => (names.has(name) ? name : 'other');

  const submitted = counter('errand_commands_submitted_total', 'Commands that were taken.', ['target', 'priority']);
  const ended = counter('errand_commands_ended_total', 'Commands that ended, by how.', ['status', 'target', 'reason']);
  const attempts = counter('errand_attempts_ended_total', 'Attempts that ended, by how.', ['status', 'target']);
  const waited = histogram(
    'errand_queue_wait_seconds',
    'From submission, or the end of the attempt before, until a start was asked for.',
    ['priority'],
    WAIT_SECONDS,
  );
  const starts = histogram(
    'errand_start_seconds',
    'From the asking for a start until the command was executed.',
    ['target'],
    WAIT_SECONDS,
  );
  const runs = histogram('errand_run_seconds', 'How long commands ran.', ['target'], RUN_SECONDS);
  const requests = counter('errand_http_requests_total', 'Requests that were answered.', ['method', 'route', 'status']);
  const latency = histogram(
    'errand_http_request_duration_seconds',
    'From a request until its answer began.',
    ['method', 'route', 'waits'],
    QUICK_SECONDS,
  );
  const limited = counter('errand_rate_limited_total', 'Requests that were refused as too many.', ['code']);
  const calls = counter('errand_provider_calls_total', 'Calls of providers, by what came of them.', [
    'target',
    'operation',
    'outcome',
  ]);
  const callSeconds = histogram(
    'errand_provider_call_duration_seconds',
    'How long calls of providers took, but starts that last as long as their command.',
    ['target', 'operation'],
    QUICK_SECONDS,
  );
  const states = gauge('errand_target_state', '1 for the state that a target is in.', ['target', 'state']);
  const storeSeconds = histogram(
    'errand_store_operation_duration_seconds',
    'How long the store took.',
    ['operation'],
    STORE_SECONDS,
  );
  const storeFaults = counter('errand_store_faults_total', 'Operations of the store that failed.', ['operation']);
  const logLines = counter('errand_log_lines_total', 'Lines of the log, by level.', ['level']);
  const passes = gauge(
    'errand_loop_last_pass_timestamp_seconds',
    'When something that comes back by itself was last done.',
    ['loop'],
  );
  const webhookTries = counter('errand_webhook_attempts_total', 'Requests to webhooks, by what came of them.', [
    'outcome',
    'again',
  ]);
  const webhookEnds = counter(
    'errand_webhook_deliveries_ended_total',
    'Deliveries to webhooks that ended: taken, or given up.',
    ['outcome'],
  );
  const triggered = counter('errand_trigger_deliveries_total', 'Deliveries to triggers, by what came of them.', [
    'outcome',
    'reason',
  ]);
  const waiting = makeWaitingDeliveries();
  const webhookWaiting = gauge(
    'errand_webhook_deliveries_waiting',
    'Deliveries that have yet to be taken by a webhook.',
    [],
    () => {
      webhookWaiting.set(waiting.count());
    },
  );
  const webhookOldest = gauge(
    'errand_webhook_oldest_age_seconds',
    'How long the delivery that waits the longest has waited; 0 without one.',
    [],
    () => {
      webhookOldest.set(Math.max(0, clock.now() - (waiting.oldest() ?? clock.now())) / 1_000);
    },
  );
  const known = makeUnfinished();
  const unfinished = gauge(
    'errand_commands_unfinished',
    'Commands that have not ended.',
    ['status', 'priority'],
    () => {
      for (const status of UNFINISHED) {
        for (const priority of PRIORITIES) unfinished.set({ status, priority }, known.count(status, priority));
      }
    },
  );
  const oldest = gauge(
    'errand_queue_oldest_age_seconds',
    'How long the command that waits the longest has waited; 0 without one.',
    ['priority'],
    () => {
      for (const priority of PRIORITIES) {
        const since = known.oldest('queued', priority)?.since ?? clock.now();
        oldest.set({ priority }, Math.max(0, clock.now() - since) / 1_000);
      }
    },
  );
  collectDefaultMetrics({ register: registry });

  for (const code of ['rate-limited', 'quota-exceeded']) limited.inc({ code }, 0);
  for (const level of ['warn', 'error']) logLines.inc({ level }, 0);
  for (const outcome of ['delivered', 'refused', 'failed']) {
    for (const again of ['no', 'yes']) webhookTries.inc({ outcome, again }, 0);
  }
  for (const outcome of ['delivered', 'dead']) webhookEnds.inc({ outcome }, 0);
  triggered.inc({ outcome: 'submitted', reason: 'none' }, 0);
  triggered.inc({ outcome: 'repeated', reason: 'none' }, 0);
  triggered.inc({ outcome: 'skipped', reason: 'filter' }, 0);
  triggered.inc({ outcome: 'refused', reason: 'signature' }, 0);
  for (const target of targets) {
    for (const priority of PRIORITIES) submitted.inc({ target, priority }, 0);
  }

  const countAttempt = (before: Command | undefined, { spec, submittedAt }: Command, attempt: Attempt): void => {
    const earlier = before?.attempts.find(({ number }) => number === attempt.number);
    const target = toTarget(attempt.target);
    const { requestedAt, startedAt, endedAt, status } = attempt;
    if (startedAt !== undefined && earlier?.startedAt === undefined) {
      const since = before?.attempts.findLast(({ number }) => number < attempt.number)?.endedAt ?? submittedAt;
      waited.observe({ priority: spec.priority }, secondsBetween(since, requestedAt));
      starts.observe({ target }, secondsBetween(requestedAt, startedAt));
    }
    if (endedAt === undefined || earlier?.endedAt !== undefined) return;
    attempts.inc({ status, target });
    if (startedAt !== undefined) runs.observe({ target }, secondsBetween(startedAt, endedAt));
  };

  return {
    changed(before, after) {
      known.set(after);
      const { status, spec, result, attempts: tried } = after;
      if (!before) submitted.inc({ target: toTarget(spec.target), priority: spec.priority });
      for (const attempt of tried) countAttempt(before, after, attempt);
      if (isFinal(status) && !(before && isFinal(before.status))) {
        const target = toTarget(tried.at(-1)?.target ?? spec.target);
        ended.inc({ status, target, reason: result?.reason ?? 'none' });
      }
    },
    found: known.set,
    gone: known.remove,
    answered({ route = 'none', method: given, status, seconds, waits, code }) {
      // Anybody may send anything as a method.
      const method = METHODS.includes(given) ? given : 'other';
      requests.inc({ method, route, status });
      latency.observe({ method, route, waits: waits ? 'yes' : 'no' }, seconds);
      if (code === 'rate-limited' || code === 'quota-exceeded') limited.inc({ code });
    },
    called({ target: name, operation, outcome, seconds }) {
      const target = toTarget(name);
      calls.inc({ target, operation, outcome });
      if (seconds !== undefined) callSeconds.observe({ target, operation }, seconds);
    },
    stored({ operation, seconds, failed }) {
      storeSeconds.observe({ operation }, seconds);
      if (failed) storeFaults.inc({ operation });
    },
    passed(loop: Loop) {
      passes.set({ loop }, clock.now() / 1_000);
    },
    logged(level) {
      logLines.inc({ level });
    },
    target(name, state) {
      for (const one of HEALTH_STATES) states.set({ target: toTarget(name), state: one }, one === state ? 1 : 0);
    },
    sent({ outcome, again }) {
      webhookTries.inc({ outcome, again: again ? 'yes' : 'no' });
    },
    delivered(outcome) {
      webhookEnds.inc({ outcome });
    },
    webhook: waiting.set,
    webhooks: waiting.keep,
    triggered({ outcome, reason = 'none' }) {
      triggered.inc({ outcome, reason });
    },
    scrape: {
      contentType: registry.contentType,
      oldest: () =>
        UNFINISHED.flatMap((status) => PRIORITIES.flatMap((priority) => known.oldest(status, priority) ?? [])),
      render: () => registry.metrics(),
    },
  };
};

const secondsBetween = (from: number, to: number): number => Math.max(0, to - from) / 1_000;
