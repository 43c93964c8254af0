import type { Scope } from './actor.ts';
import type { Instant } from './clock.ts';
import type { CommandId, TenantId, WorkflowId } from './ids.ts';
import type { Json, Scalar } from './json-pointer.ts';
import type { TraceContext } from './trace-context.ts';

export const NODE_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;

/** A value that becomes known while a workflow runs. It is handed on as data: no shell and no template ever reads it. */
export type Reference =
  /** What a node wrote that is needed, also by what is needed. Of one with `forEach`: a JSON list of texts, `null` where an item has none. */
  | {
      readonly fromOutput: string;
      /** @default stdout */
      readonly stream?: 'stdout' | 'stderr' | undefined;
      /** Of JSON, what this pointer names. */
      readonly json?: string | undefined;
      /** Without the line breaks at its end. @default true but for stdin */
      readonly trim?: boolean | undefined;
      /** More is a fault of the node, never cut. */
      readonly maxBytes?: number | undefined;
      /** Stands before it. */
      readonly prefix?: string | undefined;
    }
  /** What this pointer names in the item of a `forEach`; the empty one is the item itself. */
  | { readonly fromItem: string; readonly prefix?: string | undefined };
export type Value = string | Reference;

/** The parts of a node's command that may hold references. */
export interface Referring {
  readonly argv?: readonly Value[] | undefined;
  readonly env?: Readonly<Record<string, Value>> | undefined;
  readonly stdin?: Value | undefined;
}

/** What is said of one node that is needed, also by what is needed. One of `is`, `exitCode` and `json` with `equals` is there. */
export interface Claim {
  readonly node: string;
  readonly is?: NodeEnd | readonly NodeEnd[] | undefined;
  readonly exitCode?: number | readonly number[] | undefined;
  /** A pointer into its stdout, read as JSON. What is not there equals nothing. */
  readonly json?: string | undefined;
  readonly equals?: Scalar | readonly Scalar[] | undefined;
  readonly not?: boolean | undefined;
}

/** When a node runs, judged once all that it needs has ended. */
export type Condition =
  /** All of them succeeded. */
  | 'succeeded'
  /** One of them failed. */
  | 'failed'
  | 'always'
  | Claim
  | { readonly all: readonly (Claim | { readonly any: readonly Claim[] })[] }
  | { readonly any: readonly (Claim | { readonly all: readonly Claim[] })[] };

/** The items for each of which a node's command runs once. */
export type ForEach =
  | { readonly items: readonly Json[] }
  | {
      readonly fromOutput: string;
      /** A JSON list, or a line an item without the empty ones. */
      readonly as: 'json' | 'lines';
      /** Where the list is in the JSON. */
      readonly json?: string | undefined;
    };

/** The command is in the contract's shape, and may hold references. */
export interface PlannedNode<Command = Referring> {
  readonly command: Command;
  readonly needs?: readonly string[] | undefined;
  /** @default succeeded */
  readonly if?: Condition | undefined;
  readonly forEach?: ForEach | undefined;
  /** Its failure counts as success for the workflow, and for nodes without an `if`. */
  readonly allowFailure?: boolean | undefined;
}

/** What was submitted. It never changes. */
export interface Plan<Command = Referring> {
  readonly nodes: Readonly<Record<string, PlannedNode<Command>>>;
  /** Commands at once. */
  readonly concurrency: number;
  /** After the first failure nothing more is begun, and what runs is canceled, but of nodes with an `if`. */
  readonly failFast: boolean;
  /** From its start, and from each resumption. */
  readonly timeoutSeconds: number;
}

export const NODE_ENDS = ['succeeded', 'failed', 'skipped', 'canceled'] as const;
export type NodeEnd = (typeof NODE_ENDS)[number];
export const NODE_STATUSES = ['waiting', 'running', ...NODE_ENDS] as const;
export type NodeStatus = (typeof NODE_STATUSES)[number];
export const isEnded = (status: NodeStatus): status is NodeEnd => (NODE_ENDS as readonly string[]).includes(status);

/** Claimed: it is to be submitted, and may have been. Only what was stored as claimed is ever submitted. */
export const RUN_STATUSES = ['waiting', 'claimed', 'running', 'succeeded', 'failed', 'canceled'] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

/** One command of a node. */
export interface Run {
  readonly status: RunStatus;
  readonly command?: CommandId | undefined;
}

export interface NodeState {
  readonly status: NodeStatus;
  /** One, or one for each item; from its start on. */
  readonly runs?: readonly Run[] | undefined;
  readonly exitCode?: number | null | undefined;
  /** Why it did not succeed: the status of a command, the code of an error, `condition`, `fail-fast`, or why the workflow was stopped. */
  readonly reason?: string | undefined;
  /** For a person. */
  readonly detail?: string | undefined;
  readonly startedAt?: Instant | undefined;
  readonly endedAt?: Instant | undefined;
}

export const WORKFLOW_STATUSES = ['running', 'succeeded', 'failed', 'canceled', 'timed_out'] as const;
export type WorkflowStatus = (typeof WORKFLOW_STATUSES)[number];

/** Where a workflow stands. */
export interface Workflow {
  readonly id: WorkflowId;
  readonly tenant: TenantId;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** All that its nodes name: with the labels they decide who may see it. */
  readonly targets: readonly string[];
  /** Whoever submitted or resumed it last: its commands run with this member's rights. */
  readonly member: string;
  /** What the credential was limited to; goes on to hold. */
  readonly scope: Scope;
  readonly status: WorkflowStatus;
  /** From 1, one more with each resumption. */
  readonly generation: number;
  readonly submittedAt: Instant;
  /** What it was submitted within, and all of its commands belong to; later generations too. */
  readonly trace?: TraceContext | undefined;
  /** Of this generation. */
  readonly startedAt: Instant;
  readonly deadlineAt: Instant;
  readonly endedAt?: Instant | undefined;
  /** Nothing more is begun, and what runs is canceled. */
  readonly stop?: 'canceled' | 'timed_out' | 'restored' | undefined;
  /** When someone must look at it, whatever else happens; undefined once it has ended. */
  readonly dueAt?: Instant | undefined;
  /** A wake-up for then is under way, as something could not be submitted for now. */
  readonly againAt?: Instant | undefined;
  readonly nodes: Readonly<Record<string, NodeState>>;
}

/** Names one command of a workflow: its node, with the number of its item. */
export type RunKey = string;
export const runKeyOf = (node: string, item: number): RunKey => `${node}/${item}`;

/** Whether a failure of it fails the workflow. */
export const isCounted = ({ allowFailure = false }: PlannedNode<unknown>): boolean => !allowFailure;
