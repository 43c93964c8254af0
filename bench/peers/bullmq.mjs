import { Queue, QueueEvents, Worker } from 'bullmq';

const connectionTo = (port) => ({ host: '127.0.0.1', port: Number(port) });

export const openFront = async (port) => {
  const connection = connectionTo(port);
  const queue = new Queue('commands', { connection });
  const events = new QueueEvents('commands', { connection });
  // Each that waits for its job listens.
  events.setMaxListeners(0);
  await events.waitUntilReady();
  return async (argv) => (await queue.add('command', { argv })).waitUntilFinished(events);
};

export const openWorker = async (port, concurrency, execute) => {
  const connection = connectionTo(port);
  await new Worker('commands', ({ data }) => execute(data.argv), { connection, concurrency }).waitUntilReady();
};
