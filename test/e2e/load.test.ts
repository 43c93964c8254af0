import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { flood } from '../../bench/scenarios/flood.ts';
import { queueUp } from '../../bench/scenarios/queued.ts';
import { readAlong } from '../../bench/scenarios/readers.ts';
import { makeClient } from '../../clients/sdk/client.ts';
import { startServer } from '../support/cli.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const linux = process.platform === 'linux';
const MEBIBYTE = 1024 ** 2 / 1e6;

// Small ones of what `npm run load` does in full.
describe('under load', () => {
  test('a tenant that queues half of all commands gets its share and no more, a newcomer starts within 5 s, and none is lost', async () => {
    const server = await startServer(tempDirectory(), ['--concurrency', '8']);
    const figures = await queueUp(makeClient({ url: server.url }), {
      commands: 600,
      tenants: 6,
      concurrency: 8,
      gate: join(tempDirectory(), 'gate'),
    });
    expect(figures.lost).toBe(0);
    expect(figures.newcomerStartMs).toBeLessThan(5_000);
    expect(figures.leastShare).toBeGreaterThan(0.5);
  });

  test.skipIf(!linux)(
    'floods of bytes without a line break, and of lines, are kept whole in a bounded memory',
    async () => {
      const server = await startServer();
      const memoryMB = () =>
        (Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.process.pid}/status`, 'latin1'))?.[1]) * 1024) / 1e6;
      const figures = await flood(makeClient({ url: server.url }), {
        bytes: 200_000_000,
        lines: 500_000,
        probes: 100,
        memoryMB,
      });
      expect(figures.faults).toEqual([]);
      expect(figures.memoryGrowthMB).toBeLessThan(64 * MEBIBYTE);
    },
  );

  test.for([1, 5])(
    'readers of %i commands, slow ones among them, have every byte once, wherever they are cut off',
    async (commands) => {
      const { url } = await startServer();
      const figures = await readAlong({ url, readers: 25, commands, bytes: 1_000_000, cutBytes: 1_000_000 });
      expect(figures.wrong).toBe(0);
      expect(figures.cuts).toBeGreaterThan(25);
    },
  );
});
