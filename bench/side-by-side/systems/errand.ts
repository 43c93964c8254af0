import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Isolation, type Outcome, PROGRAMS, type ProgramName, type System, type SystemRequest } from './system.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');

/** This server, as `npm start` starts it. */
export const errand: System = {
  name: 'errand',
  durability: 'the command before it runs, its end and output before the answer',
  isDurable: true,
  missing: () => undefined,
  async start({ directory, launch }) {
    const args = [join(ROOT, 'clients/cli/errand.js'), 'serve', '--port', '0', '--data', directory];
    const { said } = await launch(process.execPath, args, { ready: /serves at http:\/\/127\.0\.0\.1:(\d+)/ });
    const port = Number(said[1]);
    const levels = await isolationLevels(port);
    return {
      version: (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version,
      port,
      requestFor: (program, isolation) => (levels.includes(isolation) ? requestFor(program, isolation) : undefined),
      readAnswer,
    };
  },
};

const requestFor = (program: ProgramName, isolation: Isolation): SystemRequest => {
  const { exitCode, stdout, ...what } = PROGRAMS[program];
  return {
    path: '/v1/commands',
    headers: { 'content-type': 'application/json', prefer: 'wait=60' },
    body: JSON.stringify({ ...what, isolation }),
    expected: stdout === '' ? `"exitCode":${exitCode}` : `"stdout":${JSON.stringify(stdout)}`,
  };
};

const readAnswer = (_status: number, body: string): Outcome => {
  const { result, stdout } = JSON.parse(body) as { result?: { exitCode: number }; stdout?: string };
  return { exitCode: result?.exitCode ?? 'not 0', stdout: stdout ?? '' };
};

/** What the target that commands go to by default can give. */
const isolationLevels = async (port: number): Promise<readonly string[]> => {
  const response = await fetch(`http://127.0.0.1:${port}/v1/providers`);
  const { items } = (await response.json()) as { items: { features: { isolation: string[] } }[] };
  return items[0]?.features.isolation ?? [];
};
