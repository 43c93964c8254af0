import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeClient } from '../clients/sdk/client.ts';
import { serve } from '../local/serve.ts';
import { LAUNCHERS } from '../shared/domain/command.ts';
import { attemptKeyOf, type CommandId, toTenantId } from '../shared/domain/ids.ts';
import { SESSION_SHELLS } from '../shared/domain/sessions.ts';
import type { Shell } from '../shared/providers/provider.ts';
import { providers } from '../shared/providers/registry.ts';
import { launcherIsThere } from '../test/support/launchers.ts';

/*
 * What a script of a warm shell takes, one after the other: first by the shell's own door (server to shell and back, with the pipes
 * of its output), then over HTTP, where each script is also decided about and stored durably twice. In ms, of 2,000 each.
 */
const ROUNDS = 2_000;
const SCRIPTS = { ':': ':', cd: 'cd /', echo: 'echo hello', '/bin/true': '/bin/true' };

const percentiles = (times: readonly number[]): string => {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(3).padStart(8);
  return `p1${at(0.01)}  p10${at(0.1)}  p50${at(0.5)}  p90${at(0.9)}  p99${at(0.99)}`;
};

const measure = async (name: string, rounds: number, work: () => Promise<unknown>): Promise<void> => {
  for (let n = 0; n < rounds / 10; n++) await work();
  const times: number[] = [];
  for (let n = 0; n < rounds; n++) {
    const began = performance.now();
    await work();
    times.push(performance.now() - began);
  }
  process.stdout.write(`${name.padEnd(34)}${percentiles(times)}\n`);
};

const folder = mkdtempSync(join(tmpdir(), 'errand-bench-sessions-'));
const never = new AbortController().signal;
const io = { output: async () => {}, stop: never, onSignal: () => {} };
const run = (shell: Shell, text: string) => shell.run({ text, stdin: new Uint8Array() }, io);
try {
  for (const launcher of LAUNCHERS.filter(launcherIsThere)) {
    const work = join(folder, launcher);
    const provider = await providers.local({ workDirectory: work, isOwnerAlive: async () => true, launcher });
    for (const shell of SESSION_SHELLS) {
      const key = attemptKeyOf(`ses_${shell.replace('/', '')}` as CommandId, 1);
      const spec = { key: key.replaceAll('/', '_') as typeof key, tenant: toTenantId('bench') };
      const opened = await provider.openShell?.({ ...spec, shell, env: {}, isolation: 'none' });
      if (!opened) throw new Error('It holds no shells.');
      for (const [name, text] of Object.entries(SCRIPTS)) {
        await measure(`${launcher}  ${shell}  ${name}`, ROUNDS, () => run(opened, text));
      }
      await opened.end();
    }
    await provider.close();
  }
  const server = await serve({ host: '127.0.0.1', port: 0, dataDirectory: join(folder, 'data'), concurrency: 64 });
  const client = makeClient({ url: server.url });
  const { id } = await client.startSession();
  await measure('over HTTP, stored  :', ROUNDS / 4, () =>
    client.submitToSession(id, { script: ':' }, { waitSeconds: 60 }),
  );
  await measure('over HTTP, no session  sh -c :', ROUNDS / 4, () =>
    client.submit({ script: ':' }, { waitSeconds: 60 }),
  );
  await server.close();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
