import type { Instant } from './clock.ts';
import type { EventType } from './events.ts';
import { LIMITS } from './limits.ts';
import type { Attempt, EndedDelivery, OpenDelivery, Webhook } from './webhooks.ts';

/*
 * What becomes of a webhook's deliveries, as functions of what is stored: events of one subject are sent in their order, one that fails
 * holds back those behind it of the same subject alone.
 */

/** Between tries, as Standard Webhooks has them; the first try is at once. Three days and some hours in all. */
export const RETRY_SECONDS = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400] as const;
/** Up to so much longer, each time another while, so that not all that failed together comes back together. */
const JITTER = 0.2;
/** A receiver may ask for no longer a wait than this. */
const LONGEST_RETRY_SECONDS = 86_400;
/** When no more may be open, the oldest is tried so often, whatever its own next try: its receiver may be back. */
const PROBE_SECONDS = 300;
const GONE = 410;

/** An event that is for the webhook. */
export interface Found {
  readonly sequence: number;
  readonly type: EventType;
  readonly subject: string;
}

/** What came of sending one. */
export interface Outcome {
  readonly sequence: number;
  readonly attempt: Attempt;
  /** What the receiver asks to wait. */
  readonly retryAfterSeconds?: number | undefined;
  /** In [0, 1): spreads the next try. */
  readonly fraction: number;
}

export const isDelivered = ({ statusCode = 0 }: Attempt): boolean => statusCode >= 200 && statusCode < 300;

export const isFull = ({ open }: Webhook): boolean => open.length >= LIMITS.webhookOpen;

/** Takes in what was found up to `to`, as far as there is room: what is left out is found again. */
export const admit = (
  webhook: Webhook,
  { events, to }: { readonly events: readonly Found[]; readonly to: number },
  now: Instant,
): Webhook => {
  const fresh = events.filter(({ sequence }) => sequence > webhook.after);
  const taken = fresh.slice(0, Math.max(0, LIMITS.webhookOpen - webhook.open.length));
  const isAll = taken.length === fresh.length;
  const after = isAll ? Math.max(webhook.after, to) : (taken.at(-1)?.sequence ?? webhook.after);
  const added = taken.map(({ sequence, type, subject }) => ({
    ...{ sequence, type, subject },
    ...{ since: now, tries: 0, retryAt: now },
  }));
  return { ...webhook, after, open: bySequence([...webhook.open, ...added]) };
};

/** What is to be sent now, at most one of each subject, the oldest first. */
export const dueOf = (webhook: Webhook, now: Instant, most: number): readonly OpenDelivery[] => {
  const heads = headsOf(webhook);
  const due = heads.filter(({ retryAt }) => retryAt <= now).slice(0, most);
  const [oldest] = heads;
  if (due.length > 0 || !oldest || !isFull(webhook)) return due;
  return probeAt(webhook) <= now ? [oldest] : [];
};

/** When there is something to be sent, should nothing more happen; undefined when nothing is open. */
export const nextTryAt = (webhook: Webhook): Instant | undefined => {
  const retries = headsOf(webhook).map(({ retryAt }) => retryAt);
  if (retries.length === 0) return undefined;
  return Math.min(...retries, ...(isFull(webhook) ? [probeAt(webhook)] : []));
};

/** Stores what came of some that were sent. What is not open any more, is left alone. */
export const settle = (
  webhook: Webhook,
  outcomes: readonly Outcome[],
  now: Instant,
): { readonly webhook: Webhook; readonly ended: readonly EndedDelivery[] } => {
  const ended: EndedDelivery[] = [];
  let open: OpenDelivery[] = [...webhook.open];
  let { failingSince, deliveredAt } = webhook;
  let isGone = false;
  for (const outcome of outcomes) {
    const at = open.findIndex(({ sequence }) => sequence === outcome.sequence);
    const before = open[at];
    if (!before) continue;
    const { attempt } = outcome;
    const tries = before.tries + 1;
    const { sequence, type, subject } = before;
    const end = (as: EndedDelivery['outcome']) => {
      ended.push({ sequence, type, subject, tries, outcome: as, last: attempt });
      open.splice(at, 1);
    };
    if (isDelivered(attempt)) {
      deliveredAt = attempt.at;
      end('delivered');
      continue;
    }
    isGone ||= attempt.statusCode === GONE;
    const waitSeconds = RETRY_SECONDS[before.tries];
    if (waitSeconds === undefined) end('dead');
    else open[at] = { ...before, tries, last: attempt, retryAt: now + waitMs(waitSeconds, outcome) };
  }
  const isUp = outcomes.some(({ attempt }) => isDelivered(attempt));
  // Whoever answers again after so long need not wait for what is due tomorrow.
  if (isUp && isFull(webhook)) open = open.map((one) => ({ ...one, retryAt: Math.min(one.retryAt, now) }));
  if (isUp) failingSince = undefined;
  else if (outcomes.length > 0) failingSince ??= now;
  const next = { ...webhook, open, failingSince, deliveredAt };
  const isFailing = failingSince !== undefined && now - failingSince >= LIMITS.webhookFailingSeconds * 1_000;
  const reason = isGone ? 'gone' : isFailing ? 'failing' : undefined;
  return { webhook: reason && webhook.enabled ? disable(next, reason, now) : next, ended };
};

/** What is open then waits until it is enabled again. */
export const disable = (
  webhook: Webhook,
  reason: NonNullable<Webhook['disabled']>['reason'],
  now: Instant,
): Webhook => ({
  ...webhook,
  enabled: false,
  disabled: { at: now, reason },
});

/** From where on it goes on: what was open is sent at once, and what happened meanwhile only when it is not to be skipped. */
export const enable = (webhook: Webhook, { head, now }: { readonly head: number; readonly now: Instant }): Webhook => ({
  ...webhook,
  enabled: true,
  disabled: undefined,
  failingSince: undefined,
  after: Math.max(webhook.after, head),
  open: webhook.open.map((one) => ({ ...one, retryAt: now })),
});

/** Sends them again, as if never tried, as far as there is room. */
export const reopen = (
  webhook: Webhook,
  deliveries: readonly EndedDelivery[],
  now: Instant,
): { readonly webhook: Webhook; readonly reopened: readonly EndedDelivery[] } => {
  const isOpen = new Set(webhook.open.map(({ sequence }) => sequence));
  const room = Math.max(0, LIMITS.webhookOpen - webhook.open.length);
  const reopened = deliveries.filter(({ sequence }) => !isOpen.has(sequence)).slice(0, room);
  const added = reopened.map(({ sequence, type, subject, last }) => ({
    ...{ sequence, type, subject, last },
    ...{ since: now, tries: 0, retryAt: now },
  }));
  return { webhook: { ...webhook, open: bySequence([...webhook.open, ...added]) }, reopened };
};

/** One that waits is tried now, and goes on with the tries that it has left. */
export const retryNow = (webhook: Webhook, sequence: number, now: Instant): Webhook => ({
  ...webhook,
  open: webhook.open.map((one) => (one.sequence === sequence ? { ...one, retryAt: now } : one)),
});

/** The first of each subject: those behind it wait for it. */
const headsOf = ({ open }: Webhook): readonly OpenDelivery[] => {
  const subjects = new Set<string>();
  return open.filter(({ subject }) => subjects.size < subjects.add(subject).size);
};

const probeAt = ({ open }: Webhook): Instant =>
  Math.max(0, ...open.map(({ last }) => last?.at ?? 0)) + PROBE_SECONDS * 1_000;

const waitMs = (seconds: number, { retryAfterSeconds = 0, fraction }: Outcome): number => {
  const asked = Math.min(retryAfterSeconds, LONGEST_RETRY_SECONDS);
  return Math.max(Math.round(seconds * 1_000 * (1 + JITTER * fraction)), asked * 1_000);
};

const bySequence = (open: readonly OpenDelivery[]): readonly OpenDelivery[] =>
  open.toSorted((a, b) => a.sequence - b.sequence);
