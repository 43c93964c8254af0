import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { DataStack } from './data-stack.ts';

/**
 * The cloud's stacks, by lifecycle: what holds data is apart from what can be replaced.
 * The stacks that compute (API, workers) are not here yet.
 * `-c stage=production` names the installation; the account and region are the credentials' own.
 */
const app = new App();
// A finding fails the synth.
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
const stage: unknown = app.node.tryGetContext('stage') ?? 'development';
if (typeof stage !== 'string' || !/^[a-z][a-z0-9-]{0,20}$/.test(stage)) {
  throw new Error(`The stage must be a short lower-case name, not ${JSON.stringify(stage)}`);
}

new DataStack(app, `errand-${stage}-data`, { terminationProtection: stage === 'production' });
