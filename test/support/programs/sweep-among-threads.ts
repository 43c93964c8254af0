import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { takeBaseline } from '../../../runner/lambda/baseline-sweep.ts';

/*
 * Sweeps again and again while a process that was there before makes threads, whose ids are ids of processes to many a
 * call; and then once more with a stranger about. To be run on a machine of its own: it kills what it does not know.
 */
const THREADS = `
  const { Worker } = require('node:worker_threads');
  const again = () => new Worker('', { eval: true }).once('exit', again);
  for (let n = 0; n < 4; n++) again();
  console.log('ready');
`;
const old = spawn(process.execPath, ['-e', THREADS], { stdio: ['ignore', 'pipe', 'inherit'] });
await once(old.stdout, 'data');
const baseline = takeBaseline((milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)));
for (let n = 0; n < 2_000; n++) await baseline.sweep();
const stranger = spawn('sleep', ['1000'], { detached: true, env: {}, stdio: 'ignore' });
const ended = once(stranger, 'exit');
await baseline.sweep();
const [, signal] = await ended;
process.stdout.write(`old ${old.signalCode ?? 'alive'}, stranger ${signal}\n`);
process.exit(0);
