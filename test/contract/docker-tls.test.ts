import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Certificates, makeCertificates } from '../support/containers/certificates.ts';
import { isThere, missingFor, type RunningDaemon, startDaemon } from '../support/containers/daemons.ts';
import { openDocker } from '../support/containers/open-docker.ts';
import { listenLocally } from '../support/listen-locally.ts';
import { aRun, openInput, recordedIo } from '../support/run-io.ts';

const missing = [...missingFor('dockerd'), ...(isThere('openssl') ? [] : ['openssl'])];
const needs = missing.length > 0 ? ` (needs ${missing.join(', ')})` : '';

describe.skipIf(missing.length > 0)(`docker, on a daemon behind TLS${needs}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  let daemon: RunningDaemon;
  let port: number;
  let client: Certificates;
  beforeAll(async () => {
    const certificates = makeCertificates(folder);
    ({ client } = certificates);
    const { caFile, certFile, keyFile } = certificates.server;
    port = await freePort();
    const tls = ['--tlsverify', '--tlscacert', caFile, '--tlscert', certFile, '--tlskey', keyFile];
    daemon = await startDaemon('dockerd', { args: ['-H', `tcp://127.0.0.1:${port}`, ...tls] });
  });
  afterAll(async () => {
    await daemon?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const open = (certificates: Certificates) =>
    openDocker({ config: daemon.config }, { config: { tls: { host: '127.0.0.1', port, ...certificates } } });

  test('a command runs there, with input and both streams', async () => {
    const provider = await open(client);
    const input = openInput();
    const io = recordedIo({ stdin: input });
    const running = provider.start(
      aRun(['/bin/sh', '-c', 'read a; echo "got $a"; cat | wc -c; echo e >&2; exit 7']),
      io,
    );
    input.write('yes\n');
    await io.seen('stdout', 'got yes');
    for (let n = 0; n < 40; n++) input.write(Buffer.alloc(100_000));
    input.end();
    expect(await running).toMatchObject({ kind: 'ended', exit: { exitCode: 7 } });
    expect([io.text('stdout'), io.text('stderr')]).toEqual(['got yes\n4000000\n', 'e\n']);
    expect(await provider.health()).toEqual({ healthy: true });
  });

  test('a stop ends it', async () => {
    const io = recordedIo();
    const running = (await open(client)).start(aRun(['/bin/sh', '-c', 'echo ready; sleep 1000']), io);
    await io.seen('stdout', 'ready');
    io.stopNow();
    expect(await running).toMatchObject({ kind: 'ended', exit: { signal: 'SIGTERM' } });
    expect(await daemon.containers()).toEqual([]);
  });

  test('whom the authority does not know is let in nowhere', async () => {
    const strange = mkdtempSync(join(folder, 'strange-'));
    const stranger = await open({ ...makeCertificates(strange).client, caFile: client.caFile });
    expect(await stranger.start(aRun(['true']), recordedIo())).toMatchObject({ kind: 'rejected' });
    // Nor does this side speak with a daemon that it does not know.
    const doubting = await open({ ...client, caFile: join(strange, 'ca.pem') });
    const fault = { retryable: false, detail: expect.stringContaining('do not trust each other') };
    expect(await doubting.start(aRun(['true']), recordedIo())).toEqual({ kind: 'rejected', fault });
    expect(await doubting.health()).toEqual({ healthy: false, detail: fault.detail });
  });
});

const freePort = async (): Promise<number> => {
  const { url, close } = await listenLocally(createServer());
  await close();
  return Number(new URL(url).port);
};
