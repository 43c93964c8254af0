import { describe, expect, test } from 'vitest';
import type { ErrandEvent } from '../../clients/sdk/event-log.ts';
import { cli, startCli, startServer } from '../support/cli.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const toEvents = (text: string): ErrandEvent[] =>
  text
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

describe('errand events', () => {
  test('shows what happened, by type and by command, as lines or as JSON', async () => {
    const dataDirectory = tempDirectory();
    await startServer(dataDirectory);
    const errand = (...args: string[]) => cli(args, { dataDirectory });
    await errand('run', '--', 'sh', '-c', 'exit 3');
    await errand('key', 'create', 'ci');
    const { stdout } = await errand('events');
    expect(stdout.trim().split('\n')).toHaveLength(4);
    // Only of one command are events in the order in which they happened.
    const submitted = /^(\d) +\d{4}-\S+Z {2}command\.submitted +cmd_\w+ target=local isolation=none\n/m.exec(
      stdout,
    )?.[1];
    expect(stdout).toMatch(/command\.completed +cmd_\w+ .*status=failed .*exitCode=3 reason=exit/);
    expect(stdout).toMatch(/key\.created +\w+ actor=owner /);
    const ends = toEvents((await errand('events', '--type', 'command.completed', '--json')).stdout);
    expect(ends).toMatchObject([{ sequence: Number(submitted) + 2, data: { exitCode: 3 } }]);
    const of = ['--command', 'last', '--after', `${submitted}`, '--limit', '1', '--json'];
    expect(toEvents((await errand('events', ...of)).stdout)).toMatchObject([{ type: 'command.started' }]);
    expect(await errand('events', '--type', 'nothing.such')).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining('command.completed'),
    });
  });

  test('-f shows what happens from then on, each once, over a server that is killed and comes back', async () => {
    const dataDirectory = tempDirectory();
    const server = await startServer(dataDirectory);
    const { port } = new URL(server.url);
    await cli(['run', '--', 'true'], { dataDirectory });
    const following = startCli(['events', '-f', '--json', '--url', server.url], {
      dataDirectory,
      env: { ERRAND_API_KEY: '' },
    });
    // It is open once it tells of something.
    const seen = () => toEvents(following.stdout().toString());
    while (seen().length === 0) await cli(['run', '--', 'true'], { dataDirectory });
    server.process.kill('SIGKILL');
    await server.exit;
    await startServer(dataDirectory, ['--port', port]);
    const { stdout: id } = await cli(['submit', '--', 'true'], { dataDirectory });
    await following.says(`"command.completed"`);
    while (seen().at(-1)?.subject !== id.trim() || seen().at(-1)?.type !== 'command.completed') {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const sequences = seen().map(({ sequence }) => sequence);
    const [first = 0] = sequences;
    expect(first).toBeGreaterThan(3);
    expect(sequences).toEqual(sequences.map((_, i) => first + i));
    following.process.kill('SIGINT');
    expect(await following.exit).toBe(130);
  });

  test('-f without a server tells of commands of other processes', async () => {
    const dataDirectory = tempDirectory();
    await cli(['run', '--', 'true'], { dataDirectory });
    const following = startCli(['events', '-f'], { dataDirectory });
    for (let isHeard = false; !isHeard; ) {
      await cli(['run', '--', 'true'], { dataDirectory });
      isHeard = following.stdout().includes('command.completed');
    }
    following.process.kill('SIGINT');
    expect(await following.exit).toBe(130);
  });
});
