import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { checkAnswers } from '../../../bench/side-by-side/check-answers.ts';
import { PROGRAMS, type ProgramName, type RunningSystem } from '../../../bench/side-by-side/systems/system.ts';

interface Answer {
  exitCode: number;
  stdout: string;
}

/** A system over HTTP that answers so: right, but for what is said. */
const aSystem = async (wrong: Partial<Record<ProgramName, Partial<Answer> | 'broken'>> = {}) => {
  const server = createServer((request, response) => {
    const name = (request.url ?? '').slice(1) as ProgramName;
    const { exitCode, stdout } = PROGRAMS[name];
    const how = wrong[name];
    response.statusCode = how === 'broken' ? 500 : 200;
    response.end(how === 'broken' ? '{}' : JSON.stringify({ exitCode, stdout, ...how }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const system: RunningSystem = {
    version: '1',
    port: (server.address() as AddressInfo).port,
    requestFor: (name, isolation) =>
      isolation === 'none' ? { path: `/${name}`, headers: {}, body: '', expected: `"exitCode"` } : undefined,
    readAnswer: (_status, body) => JSON.parse(body),
  };
  return { system, [Symbol.asyncDispose]: async () => void server.close() };
};

test('a system that answers right is measured', async () => {
  await using one = await aSystem();
  await expect(checkAnswers(one.system)).resolves.toBeUndefined();
});

test.for<[string, Parameters<typeof aSystem>[0]]>([
  ['an exit code that is not the program’s', { true: { exitCode: 1 } }],
  ['success for a program that fails', { seven: { exitCode: 0 } }],
  ['another failure than the program’s', { seven: { exitCode: 1 } }],
  ['no output', { hello: { stdout: '' } }],
  ['output that lost its newline', { hello: { stdout: 'hello' } }],
  ['output of a program that has none', { true: { stdout: '\n' } }],
  ['an error', { true: 'broken' }],
])('a system that answers with %s is refused', async ([, wrong]) => {
  await using one = await aSystem(wrong);
  const name = Object.keys(wrong ?? {})[0];
  await expect(checkAnswers(one.system)).rejects.toThrow(`a wrong answer to ${name}`);
});

test('one that says no more than that it failed is right when it should have', async () => {
  await using one = await aSystem();
  const vague: RunningSystem = {
    ...one.system,
    readAnswer: (status, body) => {
      const { exitCode, stdout } = one.system.readAnswer(status, body);
      return { exitCode: exitCode === 0 ? 0 : 'not 0', stdout };
    },
  };
  await expect(checkAnswers(vague)).resolves.toBeUndefined();
});

test('what the load will look for must be in the answer, or every answer would count as wrong', async () => {
  await using one = await aSystem();
  const unexpected: RunningSystem = {
    ...one.system,
    requestFor: () => ({ path: '/true', headers: {}, body: '', expected: 'nowhere' }),
  };
  await expect(checkAnswers(unexpected)).rejects.toThrow('a wrong answer to true');
});
