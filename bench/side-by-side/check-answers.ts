import { PROGRAMS, type ProgramName, type RunningSystem } from './systems/system.ts';

/** Runs each program once and compares how it ended. @throws Error for an exit code or output that is not the program's */
export const checkAnswers = async ({ port, requestFor, readAnswer }: RunningSystem): Promise<void> => {
  for (const name of Object.keys(PROGRAMS) as ProgramName[]) {
    for (const isolation of ['none', 'sandbox'] as const) {
      const request = requestFor(name, isolation);
      if (!request) continue;
      const { path, headers, body, expected } = request;
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers, body });
      const answer = await response.text();
      const { exitCode, stdout } = readAnswer(response.status, answer);
      const program = PROGRAMS[name];
      const isRight = exitCode === program.exitCode || (exitCode === 'not 0' && program.exitCode !== 0);
      if (isRight && stdout === program.stdout && answer.includes(expected)) continue;
      throw new Error(`a wrong answer to ${name} (isolation ${isolation}): ${response.status} ${answer.slice(0, 500)}`);
    }
  }
};
