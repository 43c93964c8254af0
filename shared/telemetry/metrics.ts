import type { Command } from '../domain/command.ts';
import type { HealthState } from '../domain/health.ts';
import type { Delivery } from '../domain/triggers.ts';
import type { EndedDelivery, Webhook } from '../domain/webhooks.ts';

/** A request that was answered. */
export interface RequestFigures {
  /** As the table has it, with `{id}`; undefined for what is not in it. */
  readonly route: string | undefined;
  readonly method: string;
  readonly status: number;
  /** Until the answer began. */
  readonly seconds: number;
  /** Whether it asked to wait for what it is about. */
  readonly waits: boolean;
  /** The code of the problem that it was answered with. */
  readonly code?: string | undefined;
}

export interface ProviderFigures {
  readonly target: string;
  readonly operation: 'start' | 'observe' | 'cancel';
  readonly outcome: string;
  /** Undefined where the call lasts as long as the command. */
  readonly seconds?: number | undefined;
}

export interface StoreFigures {
  readonly operation: string;
  readonly seconds: number;
  readonly failed: boolean;
}

/** A request to a webhook. */
export interface WebhookTry {
  /** `refused`: answered, but not with 2xx. `failed`: without an answer. */
  readonly outcome: 'delivered' | 'refused' | 'failed';
  /** Whether the same was sent before. */
  readonly again: boolean;
}

/** What came of a delivery to a trigger. */
export interface TriggerFigures {
  readonly outcome: Delivery['outcome'];
  /** One of `DELIVERY_REASONS`, `unknown` for a trigger that is not there, or the code of an error. */
  readonly reason?: string | undefined;
}

/** What comes back again and again by itself. */
export type Loop = 'sweep' | 'audit' | 'targets' | 'schedules' | 'events' | 'webhooks';

/** Counts what happens in this process. Labels are names that the operator chose, or that are ours: no ids, no tenants, nothing that callers write. */
export interface Metrics {
  /** A change of a command that was stored here. `before` is undefined for a new one. */
  changed(before: Command | undefined, after: Command): void;
  /** A command as it is in the store, whoever left it so. */
  found(command: Command): void;
  /** It is not in the store any more. */
  gone(command: Pick<Command, 'tenant' | 'id'>): void;
  answered(request: RequestFigures): void;
  called(call: ProviderFigures): void;
  stored(operation: StoreFigures): void;
  /** A loop has done its work once more. */
  passed(loop: Loop): void;
  logged(level: string): void;
  /** How a target is. */
  target(name: string, state: HealthState): void;
  sent(webhookTry: WebhookTry): void;
  /** A delivery to a webhook that came to its end, as was stored here. */
  delivered(outcome: EndedDelivery['outcome']): void;
  /** A webhook as it is in the store: what waits for it. */
  webhook(webhook: Webhook): void;
  /** All that are delivered to: for others nothing waits. */
  webhooks(enabled: readonly Pick<Webhook, 'tenant' | 'id'>[]): void;
  /** A delivery came to a trigger. */
  triggered(delivery: TriggerFigures): void;
  /** For who comes for the figures. Absent where they are sent, or not kept. */
  readonly scrape?: Scrape;
}

export interface Scrape {
  readonly contentType: string;
  /** Of what has not ended, as far as it is known here, those that have been as they are for the longest. */
  oldest(): readonly Pick<Command, 'tenant' | 'id' | 'status'>[];
  render(): Promise<string>;
}

export const noMetrics: Metrics = {
  changed: () => {},
  found: () => {},
  gone: () => {},
  answered: () => {},
  called: () => {},
  stored: () => {},
  passed: () => {},
  logged: () => {},
  target: () => {},
  sent: () => {},
  delivered: () => {},
  webhook: () => {},
  webhooks: () => {},
  triggered: () => {},
};
