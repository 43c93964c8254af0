import { SubmitWorkflow } from '../../shared/contract/workflow-schemas.ts';
import { RETRY_CAUSES } from '../../shared/domain/command.ts';
import { type Program, toArgv } from './executions.ts';
import { TARGET } from './node.ts';
import type { Rng } from './rng.ts';

/** What one caller has run as a workflow. */
export interface WorkflowPlan {
  readonly name: string;
  readonly body: SubmitWorkflow;
  readonly submitAfterMs: number;
  /** After its submission was acknowledged. */
  readonly cancelAfterMs: number | undefined;
  /** How often it has run again what did not succeed. */
  readonly resumes: number;
  /** Whether it submits twice at once, with one key. */
  readonly submitsTwice: boolean;
}

type Node = SubmitWorkflow['nodes'][string];

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];

/** By what its commands are told apart: the job in their argv. */
export const jobOf = (workflow: string, node: string): string => `${workflow}.${node}`;

/** A random graph, whose nodes hand on what they wrote. */
export const makeWorkflow = (rng: Rng, name: string, withinMs: number): WorkflowPlan => {
  const nodes: Record<string, Node> = {};
  for (const node of NAMES.slice(0, rng.between(2, NAMES.length))) {
    nodes[node] = makeNode(rng.fork(), jobOf(name, node), nodes);
  }
  return {
    name,
    body: SubmitWorkflow.parse({
      name,
      nodes,
      concurrency: rng.pick([1, 2, 50]),
      failFast: rng.chance(0.3),
      timeoutSeconds: rng.pick([30, 600, 86_400]),
    }),
    submitAfterMs: rng.between(0, Math.min(withinMs / 2, 60_000)),
    cancelAfterMs: rng.chance(0.3) ? rng.pick([0, 50, 2_000, 20_000, 120_000]) : undefined,
    resumes: rng.pick([0, 0, 1, 2]),
    submitsTwice: rng.chance(0.2),
  };
};

const makeNode = (rng: Rng, job: string, before: Readonly<Record<string, Node>>): Node => {
  const needs = Object.keys(before).filter(() => rng.chance(0.45));
  const source = needs.length > 0 && rng.chance(0.5) ? rng.pick(needs) : undefined;
  const forEach = makeForEach(rng, source);
  return {
    command: {
      argv: [
        ...toArgv(makeProgram(rng, job)),
        ...(forEach ? [{ fromItem: '' }] : []),
        ...(source === undefined || (forEach && 'fromOutput' in forEach) ? [] : [{ fromOutput: source }]),
      ],
      target: TARGET,
      timeoutSeconds: rng.pick([10, 60]),
      queueTtlSeconds: rng.pick([600, 3_600]),
      ...(rng.chance(0.4) ? { retry: { maxAttempts: 2, on: RETRY_CAUSES.filter(() => rng.chance(0.6)) } } : {}),
    },
    ...(needs.length > 0 ? { needs, if: makeCondition(rng, needs, before) } : {}),
    ...(forEach ? { forEach } : {}),
    allowFailure: rng.chance(0.15),
  };
};

const makeForEach = (rng: Rng, source: string | undefined): Node['forEach'] => {
  if (!rng.chance(0.25)) return undefined;
  if (source !== undefined && rng.chance(0.5)) return { fromOutput: source, as: 'lines' };
  return { items: Array.from({ length: rng.between(0, 4) }, (_, item) => `item-${item}`) };
};

const makeCondition = (rng: Rng, needs: readonly string[], before: Readonly<Record<string, Node>>): Node['if'] => {
  const kind = rng.pick(['none', 'none', 'none', 'failed', 'always', 'exit-code'] as const);
  if (kind !== 'exit-code') return kind === 'none' ? undefined : kind;
  const node = rng.pick(needs);
  return before[node]?.forEach ? { node, is: ['failed', 'skipped'] } : { node, exitCode: 3 };
};

const makeProgram = (rng: Rng, job: string): Program => ({
  job,
  runsMs: rng.pick([0, 50, 500, 3_000, 15_000]),
  pieces: rng.pick([0, 1, 2, 4]),
  pieceBytes: rng.between(1, 200),
  exitCode: rng.pick([0, 0, 0, 0, 3]),
  failsFirst: rng.pick([0, 0, 0, 1]),
  ignoresTerm: rng.chance(0.1),
  echoes: false,
});
