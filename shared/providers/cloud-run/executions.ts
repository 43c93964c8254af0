import type { protos } from '@google-cloud/run';
import type { AttemptKey, TenantId } from '../../domain/ids.ts';
import { runnerEnvironment } from '../../runner/program.ts';
import type { ProviderContext } from '../context.ts';
import type { HeldRun, Run, RunName } from '../provider.ts';
import { TASK_MARGIN_SECONDS } from './config.ts';

export type Execution = protos.google.cloud.run.v2.IExecution;

/**
 * By this variable a run is found again: `<installation>/<tenant>/<attempt key>`. Executions have no labels of their own
 * and no names that could be given, so that the environment of a start is all that can carry it. It is not called
 * ERRAND_ATTEMPT, since the runner ends whatever carries that of its command.
 */
const MARK = 'ERRAND_RUN';

const markOf = (installation: string, { tenant, key }: RunName): string => `${installation}/${tenant}/${key}`;

/** Of the command itself there is nothing: whoever may list executions can read this. */
export const toOverrides = (run: Run, { installation, runnerUrl }: ProviderContext) => {
  const env = { ...runnerEnvironment({ url: runnerUrl, token: run.token }), [MARK]: markOf(installation, run) };
  return {
    containerOverrides: [{ env: Object.entries(env).map(([name, value]) => ({ name, value })) }],
    taskCount: 1,
    timeout: { seconds: run.timeoutSeconds + TASK_MARGIN_SECONDS },
  };
};

export const isRun = (execution: Execution, installation: string, run: RunName): boolean =>
  markIn(execution) === markOf(installation, run);

/** The run of an execution; undefined when it carries no mark, or another installation's. */
export const heldRunOf = (execution: Execution, installation: string): HeldRun | undefined => {
  const [owner, tenant, key, ...more] = markIn(execution)?.split('/') ?? [];
  if (owner !== installation || !tenant || !key || more.length > 0 || !execution.name) return undefined;
  return {
    tenant: tenant as TenantId,
    key: key as AttemptKey,
    worker: '',
    ref: execution.name,
    createdAt: createdAtOf(execution),
  };
};

const markIn = (execution: Execution): string | undefined =>
  execution.template?.containers?.[0]?.env?.find(({ name }) => name === MARK)?.value ?? undefined;

const createdAtOf = ({ createTime }: Execution): number | undefined => {
  const seconds = Number(createTime?.seconds ?? 0);
  return seconds > 0 ? seconds * 1_000 : undefined;
};
