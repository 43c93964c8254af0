import { readFileSync } from 'node:fs';
import type { App } from 'aws-cdk-lib';
import type { Pool } from '../shared/domain/pools.ts';
import type { RemoteProviderName } from '../shared/providers/catalogue.ts';
import { parseTargets, type TargetConfig } from '../shared/providers/targets.ts';
import { functionNameOf } from './environment.ts';

/** The executor's name, known to both stacks that have to agree on it. */
export const executorNameOf = (stage: string): string => functionNameOf(stage, 'execute');

/** Those of AWS need nothing that another cloud would have to be asked for: what they need is in this account. */
export type ProviderElsewhere = Exclude<RemoteProviderName, 'lambda' | 'lambda-microvm' | 'docker'>;
export const isElsewhere = ({ provider }: TargetConfig): boolean =>
  provider !== 'lambda' && provider !== 'lambda-microvm';

/** The JSON of all targets and pools has to fit into the 4 KB of a function's environment, with the rest of it. */
const MOST_CHARACTERS = 2_800;

/** Where commands can run, and where their runners report when that is not the function's own URL. */
export interface Chosen {
  readonly targets: readonly TargetConfig[];
  readonly pools: readonly Pool[];
  readonly runnerUrl: string | undefined;
}

/**
 * The targets of an installation: those of the file that `-c targets=FILE` names (docs/targets.md), after Lambda's
 * executor, which is the default so. A target of the file that is named `lambda` takes its place; then the file's first
 * is the default.
 * @throws Error with a pointer to each fault
 */
export const readTargets = (app: App, stage: string, region: string): Chosen => {
  const config = { functionName: executorNameOf(stage), region };
  const lambda: TargetConfig = { name: 'lambda', provider: 'lambda', config };
  const file: unknown = app.node.tryGetContext('targets');
  if (typeof file !== 'string') return { targets: [lambda], pools: [], runnerUrl: undefined };
  try {
    const { targets, pools, runnerUrl, installation } = parseTargets(readFileSync(file, 'utf8'), [lambda.name]);
    if (installation !== undefined) throw new Error('/installation: the stage gives it; remove it');
    for (const [index, target] of targets.entries()) {
      if (target.provider === 'docker') {
        throw new Error(
          `/targets/${index}/provider: docker is for the embedded server, whose process reads each output`,
        );
      }
      if ((target.config as { endpoint?: unknown }).endpoint === undefined) continue;
      throw new Error(`/targets/${index}/config/endpoint: is for local trials; remove it`);
    }
    if (JSON.stringify([targets, pools]).length > MOST_CHARACTERS) {
      throw new Error(
        `/targets, /pools: more than ${MOST_CHARACTERS} characters do not fit into a function's environment`,
      );
    }
    const isReplaced = targets.some(({ name }) => name === lambda.name);
    return { targets: isReplaced ? targets : [lambda, ...targets], pools, runnerUrl };
  } catch (error) {
    throw new Error(`The targets of ${file}: ${(error as Error).message}`, { cause: error });
  }
};
