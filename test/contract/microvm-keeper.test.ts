import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { toTenantId } from '../../shared/domain/ids.ts';
import { toRunnerToken } from '../../shared/domain/runner-token.ts';
import { KEEPER_ENVIRONMENT } from '../../shared/runner/program.ts';
import { commandId } from '../support/commands.ts';
import { listenLocally } from '../support/listen-locally.ts';
import { childrenOf } from '../support/processes.ts';
import { KEEPER_MAIN } from '../support/spawned-runner.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const tokenOf = (attempt: number): string =>
  toRunnerToken({ tenant: toTenantId('default'), id: commandId(1), attempt, ticket: 'a'.repeat(32) });

/** A keeper, as a machine's first process is before its hook. */
const openKeeper = async () => {
  const child = spawn(process.execPath, [KEEPER_MAIN], {
    env: { [KEEPER_ENVIRONMENT.host]: '127.0.0.1', [KEEPER_ENVIRONMENT.port]: '0', TMPDIR: tempDirectory() },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const gone = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await gone;
  });
  let log = '';
  child.stderr.on('data', (piece: Buffer) => (log += piece.toString()));
  const portOf = () => /"port":(\d+)/.exec(log)?.[1];
  await expect.poll(portOf, { timeout: 10_000 }).toBeDefined();
  const ask = async (hook: string, body = '', method = 'POST'): Promise<number> => {
    const init = { method, ...(method === 'GET' ? {} : { body }) };
    return (await fetch(`http://127.0.0.1:${portOf()}/aws/lambda-microvms/runtime/v1/${hook}`, init)).status;
  };
  return { pid: child.pid ?? 0, ask, log: () => log, kill: (signal: NodeJS.Signals) => child.kill(signal), gone };
};

/** A control plane that gives no tickets, and knows who asked. */
const openControl = async ({ answers = true } = {}) => {
  const runners: string[] = [];
  const server = createServer(async (request, response) => {
    const { runner } = (await json(request)) as { runner?: string };
    if (runner !== undefined) runners.push(runner);
    if (answers) response.writeHead(409).end();
  });
  const { url, close } = await listenLocally(server);
  onTestFinished(close);
  const payload = (attempt = 1) => JSON.stringify({ v: 1, url, token: tokenOf(attempt) });
  return { url, runners, payload, envelope: (attempt = 1) => JSON.stringify({ runHookPayload: payload(attempt) }) };
};

describe('the keeper of a MicroVM', () => {
  test('before its hook there is nothing of a runner: what is drawn at random is drawn after it, by each machine', async () => {
    const { runners, envelope } = await openControl();
    for (let machine = 1; machine <= 2; machine++) {
      const { pid, ask } = await openKeeper();
      for (const hook of ['ready', 'validate', 'suspend', 'resume']) expect(await ask(hook)).toBe(200);
      expect(childrenOf(pid)).toEqual([]);
      expect(await ask('run', envelope())).toBe(200);
      await expect.poll(() => runners.length, { timeout: 10_000 }).toBe(machine);
    }
    expect(runners).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), expect.stringMatching(/^[0-9a-f]{32}$/)]);
    expect(runners[0]).not.toBe(runners[1]);
  });

  test('a hook that is told twice starts one runner, and another run is refused', async () => {
    const { envelope, payload } = await openControl({ answers: false });
    const { pid, ask } = await openKeeper();
    const both = await Promise.all([ask('run', envelope()), ask('run', envelope()), ask('run', payload())]);
    expect(both).toEqual([200, 200, 200]);
    expect(childrenOf(pid)).toHaveLength(1);
    expect(await ask('run', envelope(2))).toBe(409);
    expect(childrenOf(pid)).toHaveLength(1);
  });

  test.for<[string, string, string, number]>([
    ['no body', 'POST', '', 400],
    ['what is not JSON', 'POST', '{', 400],
    ['an envelope without a payload', 'POST', '{"microvmId":"m"}', 400],
    ['a payload of another version', 'POST', '{"v":2,"url":"https://a.example","token":"t"}', 400],
    ['a url of another kind', 'POST', '{"v":1,"url":"file:///etc","token":"t"}', 400],
    ['more than Lambda has', 'POST', 'x'.repeat(20_000), 413],
    ['a GET', 'GET', '', 404],
  ])('refuses %s, and then takes its run', async ([, method, body, status]) => {
    const { envelope } = await openControl();
    const { pid, ask } = await openKeeper();
    expect(await ask('run', body, method)).toBe(status);
    expect(childrenOf(pid)).toEqual([]);
    expect(await ask('run', envelope())).toBe(200);
  });

  test('knows no other hook', async () => {
    const { ask } = await openKeeper();
    expect(await ask('shell', '{}')).toBe(404);
  });

  test('at its end it waits until the runner has left, and takes no run any more', async () => {
    const { envelope, runners } = await openControl();
    const { pid, ask, log } = await openKeeper();
    await ask('run', envelope());
    await expect.poll(() => runners.length, { timeout: 10_000 }).toBe(1);
    expect(await Promise.all([ask('terminate'), ask('terminate')])).toEqual([200, 200]);
    expect(childrenOf(pid)).toEqual([]);
    expect(log()).not.toContain('died');
    const idle = await openKeeper();
    expect(await idle.ask('terminate')).toBe(200);
    expect(await idle.ask('run', envelope())).toBe(409);
  });

  test('SIGTERM ends both', async () => {
    const { envelope } = await openControl({ answers: false });
    const { pid, ask, kill, gone } = await openKeeper();
    await ask('run', envelope());
    const [runner] = childrenOf(pid);
    kill('SIGTERM');
    expect(await gone).toEqual([0, null]);
    expect(() => process.kill(runner ?? 0, 0)).toThrow('ESRCH');
  });

  test('logs neither the token nor where it leads', async () => {
    const { url, envelope } = await openControl();
    const { ask, log } = await openKeeper();
    await ask('run', envelope());
    await expect.poll(log, { timeout: 10_000 }).toContain('The runner left');
    expect(log()).not.toContain('a'.repeat(32));
    expect(log()).not.toContain(url);
  });
});
