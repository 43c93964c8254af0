import pg from 'pg';
import { PgBoss } from 'pg-boss';
import { openResults, sayResult } from './results.mjs';

/** Each fetches a batch, which gives 1.8 times the commands a second of loops of one job each. */
const LOOPS = 5;

/** Workers are woken by NOTIFY, and look themselves as often as they may. */
const open = async (connectionString) => {
  const boss = new PgBoss({ connectionString, max: 10, useListenNotify: true });
  boss.on('error', (error) => process.stderr.write(`${error}\n`));
  await boss.start();
  return boss;
};

export const openFront = async (connectionString) => {
  const boss = await open(connectionString);
  await boss.createQueue('commands', { notify: true });
  const waitForNew = await openResults(connectionString);
  return async (argv) => {
    const { id, result } = waitForNew();
    await boss.send('commands', { id, argv });
    return result;
  };
};

export const openWorker = async (connectionString, concurrency, execute) => {
  const boss = await open(connectionString);
  const pool = new pg.Pool({ connectionString, max: 10 });
  const query = pool.query.bind(pool);
  const run = async ({ data: { id, argv } }) => sayResult(query, id, await execute(argv));
  const options = { localConcurrency: LOOPS, batchSize: Math.ceil(concurrency / LOOPS), pollingIntervalSeconds: 0.5 };
  await boss.work('commands', options, async (jobs) => void (await Promise.all(jobs.map(run))));
};
