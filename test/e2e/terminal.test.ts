import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { makeClient } from '../../clients/sdk/client.ts';
import { cli, startCli, startServer } from '../support/cli.ts';
import { helpersOf, processesWith } from '../support/processes.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { terminalsAreGiven } from '../support/terminals.ts';

const hasScript = spawnSync('script', ['--version']).status === 0;
/** What the terminal is like before and after, and how it exited. */
const AROUND = {
  before: 'stty rows 31 cols 97; echo "at $(tty)";',
  after: '; echo "code $?"; stty -a | grep -qw -- "-icanon" && echo still raw || echo as before',
};

/** The CLI at a terminal, and what is typed there. */
const atTerminal = (args: readonly string[], dataDirectory: string) => {
  const errand = startCli(args, {
    ...{ dataDirectory, terminal: AROUND, stdin: 'pipe' },
    env: { TERM: 'vt220', PS1: '> ' },
  });
  const text = () => errand.stdout().toString();
  return {
    ...errand,
    text,
    type: (keys: string) => void errand.process.stdin?.write(keys),
    tty: () => /at (\/dev\/pts\/\d+)/.exec(text())?.[1] ?? '',
    idOf: () => /cmd_[0-9a-z]{26}/.exec(text())?.[0] ?? '',
  };
};

const bash = (script: string) => ['--', '/bin/bash', '-c', `'${script}'`];

describe.skipIf(!terminalsAreGiven || !hasScript)('errand shell', () => {
  test('is a shell at this terminal: its size, its keys, its exit code; and the terminal is as before', async () => {
    const dataDirectory = tempDirectory();
    await startServer(dataDirectory);
    const errand = atTerminal(['shell', '--timeout', '60s'], dataDirectory);
    errand.type('echo $BASH_VERSION is here\n');
    await errand.says('-release is here');
    errand.type('stty size; echo $TERM; test -t 0 && echo "is $((40 + 2))"\n');
    await errand.says('is 42');
    expect(errand.text()).toContain('31 97');
    expect(errand.text()).toContain('vt220');
    errand.type('sleep 1000\n');
    await errand.says('sleep 1000');
    await sleep(300);
    errand.type('\x03');
    errand.type('echo "code was $?"\n');
    await errand.says('code was 130');
    spawnSync('stty', ['-F', errand.tty(), 'rows', '12', 'cols', '34']);
    for (let tries = 0; !errand.text().includes('12 34') && tries < 50; tries++) {
      errand.type('stty size\n');
      await sleep(100);
    }
    expect(errand.text()).toContain('12 34');
    errand.type('exit 7\n');
    await errand.says('as before');
    expect(errand.text()).toContain('code 7');
    expect(errand.text()).not.toContain('still raw');
  });

  test('~. detaches, and attach shows it again and goes on', async () => {
    const dataDirectory = tempDirectory();
    const { url } = await startServer(dataDirectory);
    const errand = atTerminal(['shell', ...bash('echo ready; read -r line; echo "<$line>"; exit 3')], dataDirectory);
    await errand.says('ready');
    errand.type('~.');
    await errand.says('as before');
    expect(errand.text()).toContain('code 0');
    const id = errand.idOf();
    expect(errand.text()).toContain(`Attach again: errand attach ${id}`);
    expect((await makeClient({ url }).get(id)).status).toBe('running');
    const again = atTerminal(['attach', id], dataDirectory);
    await again.says('ready');
    again.type('hello\n');
    await again.says('as before');
    expect(again.text()).toContain('<hello>');
    expect(again.text()).toContain('code 3');
    const last = atTerminal(['attach', '--no-replay', 'last'], dataDirectory);
    await last.says('as before');
    expect(last.text()).not.toContain('ready');
    expect(last.text()).toContain('code 3');
  });

  test('told to end, it detaches and leaves the terminal as it was', async () => {
    const dataDirectory = tempDirectory();
    const { url } = await startServer(dataDirectory);
    const errand = atTerminal(['shell', ...bash('echo ready; sleep 1000')], dataDirectory);
    await errand.says('ready');
    const pids = processesWith(dataDirectory).length;
    expect(pids).toBeGreaterThan(0);
    // The CLI is the process in the foreground of that terminal.
    const found = spawnSync('ps', ['-t', errand.tty().replace('/dev/', ''), '-o', 'pid=,args=']).stdout.toString();
    const pid = Number(/^\s*(\d+) \S*node\S* .*errand\.js shell/m.exec(found)?.[1]);
    process.kill(pid, 'SIGTERM');
    await errand.says('as before');
    expect(errand.text()).toContain('code 143');
    expect((await makeClient({ url }).get(errand.idOf())).status).toBe('running');
  });

  test('a connection that breaks with its server ends with words, and a restarted one tells that it is lost', async () => {
    const dataDirectory = tempDirectory();
    const server = await startServer(dataDirectory);
    const helpers = helpersOf(server.process.pid as number);
    const errand = atTerminal(['shell', ...bash('echo ready; sleep 1000 & sleep 1000')], dataDirectory);
    await errand.says('ready');
    const { id } = (await makeClient({ url: server.url }).list().next()).value as { id: string };
    expect(processesWith(`${id}-1`).length).toBeGreaterThan(0);
    server.process.kill('SIGKILL');
    await errand.says('the connection broke');
    for (let tries = 0; processesWith(`${id}-1`).length > 0 && tries < 100; tries++) await sleep(50);
    expect(processesWith(`${id}-1`)).toEqual([]);
    expect(helpers.length).toBeGreaterThan(0);
    errand.type('~.');
    await errand.says('as before');
    const { url } = await startServer(dataDirectory);
    expect((await makeClient({ url }).get(id)).status).toBe('lost');
  });

  test('is for terminals, and needs a server', async () => {
    const dataDirectory = tempDirectory();
    expect(await cli(['shell'], { dataDirectory, input: 'ls\n' })).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining('errand run'),
    });
    const errand = atTerminal(['shell'], dataDirectory);
    await errand.says('as before');
    expect(errand.text()).toContain('errand serve');
    expect(errand.text()).toContain('code 2');
  });
});
