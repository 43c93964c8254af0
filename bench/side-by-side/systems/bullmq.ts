import { execFileSync } from 'node:child_process';
import { findProgram, freePort } from '../processes.ts';
import { missingPeer, startQueue } from './queues.ts';
import type { System } from './system.ts';

/** https://bullmq.io on Redis that syncs each write. */
export const bullmq: System = {
  name: 'bullmq',
  durability: 'the command before it runs, its result before the answer (appendfsync always)',
  isDurable: true,
  missing: () => (findProgram('redis-server') ? missingPeer('bullmq') : 'apt-get install -y redis-server'),
  async start(site) {
    const program = findProgram('redis-server') as string;
    const port = await freePort();
    const where = ['--port', String(port), '--bind', '127.0.0.1', '--dir', site.directory];
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
    await site.launch(program, [...where, ...durable], { ready: port });
    const version = /v=(\S+)/.exec(execFileSync(program, ['--version']).toString())?.[1];
    return startQueue(site, 'bullmq', { address: String(port), store: `Redis ${version}` });
  },
};
