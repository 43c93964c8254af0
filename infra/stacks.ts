import { type App, Aws } from 'aws-cdk-lib';
import { Alarm } from 'aws-cdk-lib/aws-cloudwatch';
import { ApiStack } from './api-stack.ts';
import { DataStack } from './data-stack.ts';
import { readOptions } from './options.ts';
import { QueueStack } from './queue-stack.ts';
import { readStage } from './stage.ts';
import { isElsewhere, readTargets } from './targets.ts';
import { TargetsStack } from './targets-stack.ts';
import { WorkersStack } from './workers-stack.ts';

/**
 * All stacks of an installation, by lifecycle: what holds data is apart from what can be replaced, and what depends on
 * other clouds is apart from what does not.
 */
export const makeStacks = (app: App, { bundles }: { readonly bundles: string }) => {
  const { name: stage, isProduction } = readStage(app);
  const { targets, pools, runnerUrl } = readTargets(app, stage, Aws.REGION);
  const { executor, alarmTopic, issuers, restoredTable, apiRequestsPerSecond, reserved, telemetry } = readOptions(app);
  const kept = { terminationProtection: isProduction };
  const data = new DataStack(app, `errand-${stage}-data`, { ...kept, restoredTable });
  const queue = new QueueStack(app, `errand-${stage}-queue`, kept);
  const shared = { ...kept, stage, data, queue, targets, pools, bundles, reserved, telemetry };
  const api = new ApiStack(app, `errand-${stage}-api`, { ...shared, issuers, apiRequestsPerSecond });
  const reached = { ...shared, runnerUrl: runnerUrl ?? api.runnerUrl };
  const workers = new WorkersStack(app, `errand-${stage}-workers`, { ...reached, executor });
  const elsewhere = targets.filter(isElsewhere);
  const targetStacks =
    elsewhere.length > 0
      ? [new TargetsStack(app, `errand-${stage}-targets`, { ...kept, stage, bundles, targets: elsewhere })]
      : [];
  if (alarmTopic !== undefined) tell(app, alarmTopic);
  return { data, queue, api, workers, targets: targetStacks[0] };
};

/** Of every alarm that goes off, and of its end. */
const tell = (app: App, alarmActionArn: string): void => {
  const action = { bind: () => ({ alarmActionArn }) };
  for (const alarm of app.node.findAll()) {
    if (!(alarm instanceof Alarm)) continue;
    alarm.addAlarmAction(action);
    alarm.addOkAction(action);
  }
};
