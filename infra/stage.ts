import type { App } from 'aws-cdk-lib';

/** Which installation is deployed: `-c stage=production`. */
export interface Stage {
  readonly name: string;
  readonly isProduction: boolean;
}

/** @throws Error in words for a person */
export const readStage = (app: App): Stage => {
  const name: unknown = app.node.tryGetContext('stage') ?? 'development';
  if (typeof name !== 'string' || !/^[a-z][a-z0-9-]{0,20}$/.test(name)) {
    throw new Error(`The stage must be a short lower-case name, not ${JSON.stringify(name)}`);
  }
  return { name, isProduction: name === 'production' };
};
