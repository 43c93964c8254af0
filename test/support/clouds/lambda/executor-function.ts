import { fileURLToPath } from 'node:url';
import type { FunctionSpec } from './environment.ts';
import { hasOwnMachines } from './environment-process.ts';

const path = (relative: string): string => fileURLToPath(new URL(`../../../../${relative}`, import.meta.url));

/** The executor, as it is deployed: the real handler behind the real wrapper. */
export const executorFunction = (over: Partial<FunctionSpec> = {}): FunctionSpec => ({
  root: path('functions/workers'),
  handler: 'execute.handler',
  timeoutSeconds: 900,
  memoryMiB: 1_769,
  tenantIsolation: true,
  ...over,
  environment: {
    AWS_LAMBDA_EXEC_WRAPPER: path('infra/executor/exec-wrapper.sh'),
    ...(hasOwnMachines ? { ERRAND_OWN_MACHINE: 'yes' } : {}),
    ...over.environment,
  },
});
