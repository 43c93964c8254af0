import { join } from 'node:path';
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { makeStacks } from './stacks.ts';

/**
 * The cloud's stacks. `-c stage=production` names the installation; the account and region are the credentials' own.
 */
const app = new App();
// A finding fails the synth.
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
makeStacks(app, { bundles: join(app.outdir, 'bundles') });
