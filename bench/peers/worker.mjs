import { spawn } from 'node:child_process';

/*
 * One of a queue's worker processes: it runs the commands.
 *   node worker.mjs QUEUE ADDRESS CONCURRENCY        says `ready` once it works
 */
const [queue, address, concurrency] = process.argv.slice(2);
const { openWorker } = await import(`./${queue}.mjs`);

/** As a user of a queue would. Resolves with exit code and output. */
const execute = ([program, ...args]) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const stdout = [];
    child.stdout.on('data', (bytes) => stdout.push(bytes));
    child.stderr.resume();
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, stdout: Buffer.concat(stdout).toString('utf8') }));
  });

await openWorker(address, Number(concurrency), execute);
process.stdout.write('ready\n');
