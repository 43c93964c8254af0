import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Delivery, Webhook } from '../../clients/sdk/webhooks.ts';
import { type CliOptions, cli, startServer } from '../support/cli.ts';
import { tempDirectory } from '../support/temp-directory.ts';
import { openReceiver, status } from '../support/webhook-receivers.ts';

const lines = <T>(stdout: string): T[] =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);

test('a webhook made by the CLI is told of a command as it ends, and is looked after by the CLI', async () => {
  const receiver = await openReceiver();
  const server = await startServer(tempDirectory(), ['--loopback-webhooks']);
  const options: CliOptions = { dataDirectory: tempDirectory(), env: { ERRAND_URL: server.url } };
  const errand = (...args: string[]) => cli(['webhook', ...args], options);
  const events = ['--event', 'command.completed', '--label', 'team=a'];
  const made = await errand('create', receiver.url, ...events, '--description', 'the team');
  expect(made).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^whsec_\S+\n$/) });
  const secret = made.stdout.trim();
  const [id = ''] = /whk_[0-9a-f]{16}/.exec(made.stderr) ?? [];

  await cli(['run', '--label', 'team=b', '--', 'true'], options);
  expect(await cli(['run', '--label', 'team=a', '--', 'sh', '-c', 'exit 7'], options)).toMatchObject({ exit: 7 });
  await expect.poll(() => receiver.messages.length, { timeout: 20_000 }).toBe(1);
  const [message] = receiver.messages;
  expect(message?.verifiedBy(secret)).toMatchObject({ ok: true });
  expect(message?.event).toMatchObject({ type: 'command.completed', data: { status: 'failed', exitCode: 7 } });

  expect((await errand('list')).stdout).toMatch(new RegExp(`${id} +good +0 +command\\.completed +http://127`));
  expect((await errand('show', id)).stdout).toMatch(/labels +team=a\ndescription +the team\nstate +good/);
  expect(lines<Webhook>((await errand('show', id, '--json')).stdout)).toMatchObject([{ id, waiting: 0 }]);
  const delivered = async () => lines<Delivery>((await errand('deliveries', id, '--json')).stdout);
  await expect.poll(delivered, { timeout: 10_000 }).toMatchObject([{ status: 'delivered', tries: 1 }]);
  const [{ sequence } = { sequence: 0 }] = await delivered();
  expect((await errand('deliveries', id)).stdout).toMatch(
    new RegExp(`${sequence} +command.completed +delivered +1 +204`),
  );

  const pinged = await errand('test', id);
  expect(pinged).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^taken: 204, after \d+ ms\n$/) });
  receiver.answer = status(503);
  expect(await errand('test', id)).toMatchObject({ exit: 1, stdout: expect.stringContaining('not taken: 503') });
  receiver.answer = status(204);

  const rotated = await errand('rotate', id, '--overlap', '1h');
  expect(rotated.stdout).toMatch(/^whsec_/);
  const before = receiver.messages.length;
  expect(await errand('redeliver', id, String(sequence))).toMatchObject({ stdout: 'sending 1 again\n' });
  await expect.poll(() => receiver.messages.length, { timeout: 10_000 }).toBe(before + 1);
  const again = receiver.messages.at(-1);
  expect([again?.id, again?.body]).toEqual([message?.id, message?.body]);
  expect([again?.verifiedBy(secret).ok, again?.verifiedBy(rotated.stdout.trim()).ok]).toEqual([true, true]);
  expect(await errand('redeliver', id, '--dead')).toMatchObject({ stdout: 'sending 0 again\n' });

  expect((await errand('update', id, '--disable')).stdout).toMatch(/state +disabled\n/);
  expect(
    (await errand('update', id, '--enable', '--send-missed', '--event', 'command.*', '--to', receiver.url)).stdout,
  ).toMatch(/events +command\.\*\n[\s\S]*state +good/);
  expect(await errand('delete', id)).toMatchObject({ exit: 0 });
  expect((await errand('list')).stdout).not.toContain(id);
}, 90_000);

test('nothing of this machine is asked unless the server was told so, and faults are told before anything is', async () => {
  const dataDirectory = tempDirectory();
  const errand = (...args: string[]) => cli(['webhook', ...args], { dataDirectory });
  const refused = await errand('create', 'http://127.0.0.1:9/', '--event', '*');
  expect(refused).toMatchObject({ stdout: '', stderr: expect.stringContaining('Only https is asked') });
  expect(refused.exit).not.toBe(0);
  expect(await errand('create', 'https://hooks.example.com/')).toMatchObject({
    exit: 2,
    stderr: expect.stringContaining('--event'),
  });
  expect(await errand('redeliver', 'whk_0123456789abcdef')).toMatchObject({ exit: 2 });
  expect(await errand('update', 'whk_0123456789abcdef', '--enable', '--disable')).toMatchObject({ exit: 2 });
  expect(await errand('show', 'whk_0123456789abcdef')).toMatchObject({ stderr: expect.stringContaining('no webhook') });
  const made = await errand('create', 'https://localhost/', '--event', '*');
  const [id = ''] = /whk_[0-9a-f]{16}/.exec(made.stderr) ?? [];
  expect(await errand('test', id)).toMatchObject({ exit: 1, stdout: expect.stringContaining('not taken: address') });
  expect(readdirSync(join(dataDirectory, 'secrets', 'default'))).toHaveLength(1);
});
