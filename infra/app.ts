import { App } from 'aws-cdk-lib';
import { DataStack } from './data-stack.ts';

/**
 * The cloud's stacks, by lifecycle: what holds data is apart from what can be replaced.
 * `-c stage=production` names the installation; the account and region are the credentials' own.
 */
const app = new App();
const stage: unknown = app.node.tryGetContext('stage') ?? 'development';
if (typeof stage !== 'string' || !/^[a-z][a-z0-9-]{0,20}$/.test(stage)) {
  throw new Error(`The stage must be a short lower-case name, not ${JSON.stringify(stage)}`);
}

new DataStack(app, `errand-${stage}-data`, { terminationProtection: stage === 'production' });
