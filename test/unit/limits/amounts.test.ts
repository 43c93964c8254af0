import { expect, test } from 'vitest';
import type { Attempt, Command } from '../../../shared/domain/command.ts';
import { amountsOf } from '../../../shared/domain/quotas.ts';

const attempt = (startedAt?: number, endedAt?: number) => ({ startedAt, endedAt }) as Attempt;
const command = (over: object) => ({ spec: {}, attempts: [], ...over }) as unknown as Command;
const result = { stdoutBytes: 3, stderrBytes: 4 };

test.for<[what: string, command: Command, cpuMs: number, outputBytes: number]>([
  ['measured', command({ attempts: [attempt(0, 9_000)], result: { ...result, usage: { cpuMs: 12.4 } } }), 12, 7],
  [
    'not measured: its attempts’ time',
    command({ attempts: [attempt(1_000, 3_000), attempt(5_000, 6_000)], result }),
    3_000,
    7,
  ],
  ['for each processor', command({ spec: { cpu: 2.5 }, attempts: [attempt(1_000, 3_000)], result }), 5_000, 7],
  [
    'an attempt that never started, or whose end nobody saw, for nothing',
    command({ attempts: [attempt(), attempt(1_000), attempt(undefined, 5)] }),
    0,
    0,
  ],
  ['never run', command({}), 0, 0],
])('a command is counted: %s', ([, counted, cpuMs, outputBytes]) => {
  expect(amountsOf(counted)).toEqual({ commands: 1, cpuMs, outputBytes });
});
