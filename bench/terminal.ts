/**
 * How long a key takes to come back: from the client's WebSocket through the server, the stored input, the terminal and
 * the stored output, and back. `node bench/terminal.ts [KEYS]`; the data folder is in TMPDIR, whose disk it measures as well.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeClient } from '../clients/sdk/client.ts';
import { serve } from '../local/serve.ts';

const keys = Number(process.argv[2] ?? 500);
/** A fast typist; with 0, a key is pressed as soon as the last one came back. */
const GAPS_MS = [80, 0] as const;
/** The first ones find nothing warm. */
const WARM_UP = 50;

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

const percentile = (sorted: readonly number[], share: number): string =>
  (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);

const dataDirectory = mkdtempSync(join(tmpdir(), 'errand-terminal-'));
const server = await serve({ host: '127.0.0.1', port: 0, dataDirectory, concurrency: 1 });
try {
  const client = makeClient({ url: server.url });
  const { id } = await client.submit({ argv: ['/bin/cat'], terminal: { rows: 24, columns: 80 } });
  const terminal = client.terminal(id);
  const shown = terminal[Symbol.asyncIterator]();
  for (const gapMs of GAPS_MS) {
    const took: number[] = [];
    for (let n = 0; n < keys + WARM_UP; n++) {
      await pause(gapMs);
      const from = performance.now();
      await terminal.send('x');
      await shown.next();
      if (n >= WARM_UP) took.push(performance.now() - from);
    }
    took.sort((a, b) => a - b);
    const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => percentile(took, share));
    process.stdout.write(`${keys} keys, ${gapMs} ms apart: p50 ${p50} ms, p90 ${p90} ms, p99 ${p99} ms\n`);
  }
  await client.cancel(id);
  await terminal.ended;
} finally {
  await server.close();
  rmSync(dataDirectory, { recursive: true, force: true });
}
