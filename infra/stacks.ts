import { type App, Aws } from 'aws-cdk-lib';
import { ApiStack } from './api-stack.ts';
import { DataStack } from './data-stack.ts';
import { QueueStack } from './queue-stack.ts';
import { readStage } from './stage.ts';
import { readTargets } from './targets.ts';
import { WorkersStack } from './workers-stack.ts';

/** All stacks of an installation, by lifecycle: what holds data is apart from what can be replaced. */
export const makeStacks = (app: App, { bundles }: { readonly bundles: string }) => {
  const { name: stage, isProduction } = readStage(app);
  const targets = readTargets(app, stage, Aws.REGION);
  const data = new DataStack(app, `errand-${stage}-data`, { terminationProtection: isProduction });
  const queue = new QueueStack(app, `errand-${stage}-queue`);
  const shared = { stage, data, queue, targets, bundles };
  const api = new ApiStack(app, `errand-${stage}-api`, shared);
  const workers = new WorkersStack(app, `errand-${stage}-workers`, { ...shared, runnerUrl: api.runnerUrl });
  return { data, queue, api, workers };
};
