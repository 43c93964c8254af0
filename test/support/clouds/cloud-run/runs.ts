import { expect } from 'vitest';
import type { HeldRun, Observed, Provider, Run, StartOutcome } from '../../../../shared/providers/provider.ts';
import { aRun, recordedIo } from '../../run-io.ts';
import type { HttpFault } from '../faults.ts';
import type { CloudRunCloud } from './cloud-run-cloud.ts';

/** In the runner's place: a program that ends when it is told to, or of which nothing is asked. */
export const sleeper = ['/bin/sh', '-c', 'echo up; exec sleep 1000'] as const;
export const shell = (script: string) => ['/bin/sh', '-c', script] as const;
export const status = (code: number, retryAfterSeconds?: number): HttpFault => ({
  kind: 'status',
  status: code,
  ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
});
export const HANG: HttpFault = { kind: 'hang' };
export const RESET: HttpFault = { kind: 'reset' };
export const ANSWER_LOST: HttpFault = { kind: 'answer-lost' };
/** Time for waits that are long by intent, such as for an answer that never comes. */
export const FASTER = { faster: 15 };

export const start = (provider: Provider, run: Run = aRun(['/bin/true'])): Promise<StartOutcome> =>
  provider.start(run, recordedIo());
export const refOf = (outcome: StartOutcome): string => {
  if (outcome.kind !== 'accepted' || outcome.ref === undefined) throw new Error(JSON.stringify(outcome));
  return outcome.ref;
};
export const started = async (provider: Provider, run: Run = aRun(['/bin/true'])): Promise<Run> => ({
  ...run,
  ref: refOf(await start(provider, run)),
});
export const envOf = (cloud: CloudRunCloud): readonly { readonly name: string; readonly value: string }[] => {
  const { template } = (cloud.executions[0]?.resource() ?? {}) as { template?: { containers: { env: never[] }[] } };
  return template?.containers[0]?.env ?? [];
};
export const counts = ({ requests }: CloudRunCloud) => Object.fromEntries(requests);
export const isUp = (cloud: CloudRunCloud, index = 0) =>
  expect.poll(() => cloud.executions[index]?.logs(), { timeout: 10_000 }).toEqual(['up\n']);
export const heldBy = async (provider: Provider): Promise<HeldRun[]> => {
  const held: HeldRun[] = [];
  for await (const run of provider.held?.() ?? []) held.push(run);
  return held;
};
export const ended = async (cloud: CloudRunCloud, provider: Provider, run: Run): Promise<Observed> => {
  await cloud.executions.at(-1)?.ended;
  return provider.observe(run);
};
