import type { Command } from '../domain/command.ts';
import type { HealthState } from '../domain/health.ts';

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

/** What comes back again and again by itself. */
export type Loop = 'sweep' | 'audit' | 'targets' | 'schedules' | 'events';

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
};
