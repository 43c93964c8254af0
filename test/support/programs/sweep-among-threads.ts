import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { takeBaseline } from '../../../runner/lambda/baseline-sweep.ts';

/*
 * Sweeps again and again while this process makes threads, whose ids are ids of processes to many a call; and then once
 * more with a stranger about. To be run on a machine of its own: it kills what it does not know.
 */
const THREADS = `
  const { Worker } = require('node:worker_threads');
  const again = () => new Worker('', { eval: true }).once('exit', again);
  for (let n = 0; n < 4; n++) again();
`;
const baseline = takeBaseline((milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)));
const threads = new Worker(THREADS, { eval: true });
await once(threads, 'online');
let clean = 0;
for (let n = 0; n < 150; n++) if (await baseline.sweep()) clean++;
const stranger = spawn('sleep', ['1000'], { detached: true, env: {}, stdio: 'ignore' });
const ended = once(stranger, 'exit');
await baseline.sweep();
const [, signal] = await ended;
process.stdout.write(`${clean} clean, stranger ended by ${signal}\n`);
process.exit(0);
