import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cli, startServer } from '../support/cli.ts';
import { tempDirectory } from '../support/temp-directory.ts';

/** A server with some history, and its log as it was taken away. */
const openSite = async () => {
  const dataDirectory = tempDirectory();
  await startServer(dataDirectory);
  const errand = (...args: string[]) => cli(args, { dataDirectory });
  await errand('key', 'create', 'ci');
  const policy = join(dataDirectory, 'policy.json');
  writeFileSync(
    policy,
    JSON.stringify({ default: 'allow', rules: [{ name: 'no-rm', effect: 'deny', programs: ['rm'] }] }),
  );
  await errand('policy', 'apply', policy);
  await errand('run', '--', 'echo', 'hi');
  await errand('run', '--', 'rm', 'x');
  const kept = join(dataDirectory, 'kept.json');
  const log = join(dataDirectory, 'log.jsonl');
  const takeAway = async () => writeFileSync(log, (await errand('audit', 'export')).stdout);
  return { dataDirectory, errand, kept, log, takeAway };
};

describe('errand audit', () => {
  test('lists what was done and decided, and proves an export offline', async () => {
    const { errand, kept, log, takeAway } = await openSite();
    const { stdout: listed } = await errand('audit', 'list');
    for (const type of ['key.created', 'policy.applied', 'command.submitted', 'command.ended', 'command.denied']) {
      expect(listed).toContain(type);
    }
    expect(
      (await errand('audit', 'list', '--type', 'command.denied', '--json')).stdout.trim().split('\n'),
    ).toHaveLength(1);
    writeFileSync(kept, (await errand('audit', 'checkpoint')).stdout);
    await errand('run', '--', 'true');
    await takeAway();
    // Offline: from a folder where no server is, with nothing but the file and what was kept.
    const offline = { dataDirectory: tempDirectory() };
    expect(await cli(['audit', 'verify', log, '--checkpoint', kept], offline)).toMatchObject({
      exit: 0,
      stdout: expect.stringMatching(/^intact: \d+ entries/),
    });
    expect(await errand('audit', 'verify')).toMatchObject({
      exit: 0,
      stderr: expect.stringContaining('own word alone'),
    });
  });

  test('finds what was done to an export', async () => {
    const { errand, kept, log, takeAway } = await openSite();
    writeFileSync(kept, (await errand('audit', 'checkpoint')).stdout);
    await takeAway();
    const text = readFileSync(log, 'utf8');
    const verify = (...more: string[]) => errand('audit', 'verify', log, '--checkpoint', kept, ...more);
    writeFileSync(log, text.replace('command.denied', 'command.ended'));
    expect(await verify()).toMatchObject({ exit: 1, stdout: expect.stringMatching(/^NOT INTACT at entry \d/) });
    writeFileSync(log, text.split('\n').slice(1).join('\n'));
    expect((await verify()).stdout).toContain('NOT INTACT at entry 1');
    writeFileSync(log, '');
    expect((await verify()).stdout).toContain('the end of the log was cut');
    writeFileSync(log, `${text}{"kind":"other"}\n`);
    expect((await verify()).stdout).toContain('no entry and no checkpoint');
    appendFileSync(log, 'no JSON');
    expect((await verify()).exit).not.toBe(0);
    expect((await errand('audit', 'verify', log)).exit).toBe(2);
  });

  test('a receipt says how a command ended, and not before it did', async () => {
    const { errand } = await openSite();
    const { stdout } = await errand('ps', '--all', '--json');
    const { id } = JSON.parse(stdout.split('\n')[0] ?? '') as { id: string };
    const receipt = JSON.parse((await errand('receipt', id)).stdout);
    expect(receipt).toMatchObject({ receipt: { id, status: 'succeeded', result: { exitCode: 0 } } });
    const { stdout: running } = await errand('submit', '--', 'sleep', '60');
    expect((await errand('receipt', running.trim())).stderr).toContain('has not ended');
    await errand('cancel', running.trim());
  });

  test('goes on over a restart, with the same key', async () => {
    const dataDirectory = tempDirectory();
    const errand = (...args: string[]) => cli(args, { dataDirectory });
    await errand('run', '--', 'true');
    const first = JSON.parse((await errand('audit', 'checkpoint')).stdout);
    await errand('run', '--', 'true');
    const second = JSON.parse((await errand('audit', 'checkpoint')).stdout);
    expect(second.publicKey).toBe(first.publicKey);
    expect(second.items[0].checkpoint.size).toBe(first.items[0].checkpoint.size + 3);
    expect((await errand('audit', 'verify')).exit).toBe(0);
  });
});
