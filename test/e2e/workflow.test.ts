import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeClient } from '../../clients/sdk/client.ts';
import type { Workflow } from '../../clients/sdk/workflows.ts';
import { cli, startServer } from '../support/cli.ts';
import { sh } from '../support/errand.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const file = (workflow: unknown, name = 'workflow.json'): string => {
  const path = join(tempDirectory(), name);
  writeFileSync(path, JSON.stringify(workflow));
  return path;
};

describe('errand workflow', () => {
  const build = (test: string) => ({
    name: 'build',
    nodes: {
      list: { command: sh('printf "one\\ntwo\\n"') },
      build: {
        needs: ['list'],
        forEach: { fromOutput: 'list', as: 'lines' },
        command: { argv: ['echo', { fromItem: '' }] },
      },
      test: { needs: ['build'], command: sh(test) },
      tell: { needs: ['test'], if: 'failed', command: { argv: ['echo', { fromOutput: 'build' }] } },
    },
  });

  test('run needs no server, tells of each node, and exits by how it ended', async () => {
    const options = { dataDirectory: tempDirectory() };
    const good = await cli(['workflow', 'run', file(build('true'))], options);
    expect(good).toMatchObject({ exit: 0, stderr: '' });
    expect(good.stdout).toMatch(/✔ succeeded {2}list {3}cmd_/);
    expect(good.stdout).toMatch(/✔ succeeded {2}build {2}2\/2\n/);
    expect(good.stdout).toMatch(/– skipped {4}tell {3}condition\n/);
    const bad = await cli(['workflow', 'run', file(build('exit 9'))], options);
    expect(bad).toMatchObject({
      exit: 1,
      stderr: expect.stringMatching(/wfl_\w+ failed \(test\).*errand workflow resume/),
    });
    expect(bad.stdout).toMatch(/✘ failed {5}test {3}exit code 9 {2}cmd_/);
    const late = await cli(['workflow', 'run', file({ ...build('sleep 60'), timeoutSeconds: 1 })], options);
    expect(late).toMatchObject({ exit: 124, stderr: expect.stringContaining('time-out') });
    const json = await cli(['workflow', 'run', '--json', '-'], { ...options, input: JSON.stringify(build('true')) });
    const lines = json.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string });
    expect([json.exit, lines[0]?.type, lines.at(-1)?.type]).toEqual([0, 'workflow', 'end']);
  }, 60_000);

  test('run draws the nodes in place on a terminal', async () => {
    const shown = await cli(['workflow', 'run', file(build('sleep 0.5'))], {
      dataDirectory: tempDirectory(),
      terminal: true,
    });
    expect(shown.exit).toBe(0);
    expect(shown.stdout).toContain('\u001b[5A\u001b[J');
    expect(shown.stdout).toContain('▸ running');
    const last = shown.stdout.split('\u001b[J').at(-1) ?? '';
    expect(last.match(/✔ succeeded/g)).toHaveLength(3);
  }, 30_000);

  test('submit, watch, show, list, cancel and resume, by a server', async () => {
    const { url } = await startServer();
    const options = { dataDirectory: tempDirectory(), env: { ERRAND_URL: url } };
    const errand = (...args: string[]) => cli(['workflow', ...args], options);
    const flag = join(tempDirectory(), 'flag');
    const submitted = await errand('submit', file(build(`test -e ${flag}`)));
    const id = submitted.stdout.trim();
    expect(id).toMatch(/^wfl_[0-9a-f]{16}$/);
    expect(await errand('watch', id)).toMatchObject({ exit: 1 });
    writeFileSync(flag, '');
    expect(await errand('resume', id)).toMatchObject({ exit: 0, stdout: 'generation 2\n' });
    expect(await errand('watch', id)).toMatchObject({ exit: 0 });
    expect((await errand('show', id)).stdout).toMatch(/status {6}succeeded\ngeneration {2}2\n/);
    const slow = (await errand('submit', file({ nodes: { a: { command: sh('sleep 60') } } }))).stdout.trim();
    expect(await errand('cancel', slow)).toMatchObject({ exit: 0, stdout: '' });
    expect(await errand('watch', slow)).toMatchObject({ exit: 130 });
    const listed = (await errand('list')).stdout;
    expect(listed).toMatch(new RegExp(`${slow} +canceled +1 canceled`));
    expect(listed).toMatch(new RegExp(`${id} +succeeded +3 succeeded, 1 skipped .* build`));
    expect((await errand('list', '--status', 'canceled')).stdout).not.toContain(id);
    const odd = file({ nodes: { a: { command: { argv: ['true'] }, needs: ['a'] } } });
    expect(await errand('submit', odd)).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining('/nodes/a/needs/0'),
    });
    writeFileSync(odd, '{');
    expect(await errand('submit', odd)).toMatchObject({ exit: 2, stderr: expect.stringContaining('not JSON') });
  }, 60_000);
});

test('a workflow of 200 nodes, whose server is killed -9 three times in the middle, ends right after: each node is one command, run to its end once', async () => {
  const data = tempDirectory();
  const log = join(tempDirectory(), 'log');
  writeFileSync(log, '');
  // Five wide and forty deep; each of a rank needs two of the one before.
  const nameOf = (rank: number, place: number) => `n${rank}-${place % 5}`;
  const nodes = Object.fromEntries(
    Array.from({ length: 200 }, (_, n) => {
      const [rank, place] = [Math.floor(n / 5), n % 5];
      const name = nameOf(rank, place);
      // One write of one line each, which is whole or not there.
      const script = 'echo "start $1" >> "$2"; sleep 0.05; echo "end $1" >> "$2"';
      return [
        name,
        {
          needs: rank === 0 ? [] : [nameOf(rank - 1, place), nameOf(rank - 1, place + 1)],
          // What runs when its server is killed is cut short: it is run again, and has not ended before.
          command: {
            ...sh(script),
            argv: ['/bin/sh', '-c', script, 'sh', name, log],
            retry: { maxAttempts: 10, on: ['lost'] },
          },
        },
      ];
    }),
  );
  const linesOf = (kind: string): string[] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith(kind))
      .map((line) => line.slice(kind.length + 1));
  let server = await startServer(data);
  const { id } = await makeClient({ url: server.url }).submitWorkflow({ nodes: nodes as never });
  for (const done of [40, 90, 140]) {
    await expect.poll(() => linesOf('end').length, { timeout: 60_000, interval: 10 }).toBeGreaterThanOrEqual(done);
    server.process.kill('SIGKILL');
    await server.exit;
    expect(linesOf('end').length).toBeLessThan(200);
    server = await startServer(data);
  }
  const client = makeClient({ url: server.url });
  let workflow: Workflow | undefined;
  for await (const event of client.followWorkflow(id)) if (event.type === 'end') workflow = event.workflow;
  expect(workflow).toMatchObject({ status: 'succeeded', generation: 1, counts: { succeeded: 200 } });
  const commands = new Map<string, number>();
  let restarts = 0;
  for await (const { workflow: of, attempts } of client.list()) {
    commands.set(of?.node ?? '', (commands.get(of?.node ?? '') ?? 0) + 1);
    const lost = attempts.filter(({ status }) => status === 'lost').length;
    restarts += lost;
    const [starts, ends] = ['start', 'end'].map((kind) => linesOf(kind).filter((name) => name === of?.node).length);
    // Only what was cut short began again; and only one that was killed between its last line and its end said that twice.
    expect(starts).toBeLessThanOrEqual(1 + lost);
    expect(ends).toBeGreaterThanOrEqual(1);
    expect(ends).toBeLessThanOrEqual(1 + lost);
  }
  expect([...commands.keys()].toSorted()).toEqual(Object.keys(nodes).toSorted());
  expect([...commands.values()].every((count) => count === 1)).toBe(true);
  // It was in the middle.
  expect(restarts).toBeGreaterThan(0);
  const ends = linesOf('end');
  for (const [name, { needs }] of Object.entries(nodes)) {
    for (const needed of needs) expect(ends.indexOf(needed)).toBeLessThan(ends.indexOf(name));
  }
}, 180_000);
