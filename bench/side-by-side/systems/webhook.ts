import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, freePort } from '../processes.ts';
import { PROGRAMS, type ProgramName, type System } from './system.ts';

/** https://github.com/adnanh/webhook: a Go server that executes a configured command for each request. */
export const webhook: System = {
  name: 'webhook',
  durability: 'none',
  isDurable: false,
  missing: () => (findProgram('webhook') ? undefined : 'apt-get install -y webhook'),
  async start({ directory, launch }) {
    const program = findProgram('webhook') as string;
    const hooks = join(directory, 'hooks.json');
    writeFileSync(hooks, JSON.stringify((Object.keys(PROGRAMS) as ProgramName[]).map(toHook)));
    const port = await freePort();
    const where = ['-ip', '127.0.0.1', '-port', String(port)];
    await launch(program, ['-hooks', hooks, ...where], { ready: port });
    return {
      version: execFileSync(program, ['-version']).toString().replace('webhook version', '').trim(),
      port,
      requestFor: (name, isolation) =>
        isolation === 'none'
          ? { path: `/hooks/${name}`, headers: {}, body: '', expected: PROGRAMS[name].stdout }
          : undefined,
      // It answers 500 when the command fails, and does not say how.
      readAnswer: (status, body) =>
        status === 200 ? { exitCode: 0, stdout: body } : { exitCode: 'not 0', stdout: '' },
    };
  },
};

const toHook = (name: ProgramName) => {
  const program = PROGRAMS[name];
  const [file, ...args] = 'argv' in program ? program.argv : ['/bin/sh', '-c', program.script];
  return {
    id: name,
    'execute-command': file,
    'pass-arguments-to-command': args.map((arg) => ({ source: 'string', name: arg })),
    'include-command-output-in-response': true,
  };
};
