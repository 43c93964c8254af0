import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSite, type Site } from '../../../bench/side-by-side/processes.ts';

let over: AbortController;
let site: Site;
beforeEach(() => {
  over = new AbortController();
  site = openSite(mkdtempSync(join(tmpdir(), 'errand-bench-test-')), over.signal);
});
afterEach(async () => {
  await site.close();
  rmSync(site.directory, { recursive: true });
});

const shell = (script: string): [string, string[]] => ['/bin/sh', ['-c', script]];
const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
const untilGone = async (pid: number): Promise<void> => {
  while (isThere(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
};

test('a program is launched once it says that it is ready, and what it says is kept', async () => {
  const { said } = await site.launch(...shell('echo starting; echo "port 42"; exec sleep 100'), {
    ready: /port (\d+)/,
  });
  expect(said[1]).toBe('42');
});

test.for<[string, [string, string[]], string]>([
  ['ends before it is ready', shell('echo no license >&2; exit 1'), 'ended: no license'],
  ['is not there', ['/nowhere/program', []], '/nowhere/program could not be started'],
])('a program that %s is an error that tells', async ([, command, message]) => {
  await expect(site.launch(...command, { ready: /ready/ })).rejects.toThrow(message);
});

test('nothing is left, also of what a program itself started and left behind', async () => {
  const { pid, said } = await site.launch(...shell('sleep 100 & echo "child $!"; wait'), { ready: /child (\d+)/ });
  await site.close();
  expect(isThere(pid)).toBe(false);
  await untilGone(Number(said[1]));
});

test('one that does not get ready is given up when the bench is interrupted', async () => {
  const launched = site.launch(...shell('exec sleep 100'), { ready: /ready/ });
  over.abort();
  await expect(launched).rejects.toThrow('did not get ready');
});

test('what was launched last ends first', async () => {
  const log = join(site.directory, 'log');
  for (const name of ['store', 'worker']) {
    await site.launch(...shell(`trap 'echo ${name} >> ${log}; exit' TERM; echo ready; while :; do sleep 0.01; done`), {
      ready: /ready/,
    });
  }
  await site.close();
  expect(readFileSync(log, 'utf8')).toBe('worker\nstore\n');
});
