import { readFileSync } from 'node:fs';
import type { App } from 'aws-cdk-lib';
import { parseTargets, type TargetConfig } from '../shared/providers/targets.ts';

/** The executor's name, known to both stacks that have to agree on it. */
export const executorNameOf = (stage: string): string => `errand-${stage}-execute`;

/**
 * The targets of an installation: Lambda's executor, and those of the file that `-c targets=FILE` names (docs/targets.md).
 * @throws Error with a pointer to each fault
 */
export const readTargets = (app: App, stage: string, region: string): readonly TargetConfig[] => {
  const lambda: TargetConfig = {
    name: 'lambda',
    provider: 'lambda',
    config: { functionName: executorNameOf(stage), region },
  };
  const file: unknown = app.node.tryGetContext('targets');
  if (typeof file !== 'string') return [lambda];
  return [lambda, ...parseTargets(readFileSync(file, 'utf8')).targets];
};
