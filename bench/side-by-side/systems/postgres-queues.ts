import { execFileSync } from 'node:child_process';
import { chownSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findProgram, freePort, type Site, userUnlessRoot } from '../processes.ts';
import { missingPeer, startQueue } from './queues.ts';
import type { System } from './system.ts';

/** A queue on a PostgreSQL of its own as it comes, which syncs each commit. */
const onPostgres = (name: 'graphile-worker' | 'pg-boss'): System => ({
  name,
  durability: 'the command before it runs, its result before the answer (synchronous_commit on)',
  isDurable: true,
  missing: () => (findPostgres() ? missingPeer(name) : 'apt-get install -y postgresql'),
  async start(site) {
    const program = findPostgres() as string;
    const address = await startPostgres(program, site);
    const version = execFileSync(program, ['--version']).toString().split(' ')[2]?.trim();
    return startQueue(site, name, { address, store: `PostgreSQL ${version}` });
  },
});

/** https://worker.graphile.org */
export const graphileWorker = onPostgres('graphile-worker');
/** https://github.com/timgit/pg-boss */
export const pgBoss = onPostgres('pg-boss');

const startPostgres = async (program: string, { directory, launch }: Site): Promise<string> => {
  const user = userUnlessRoot('postgres');
  if (user) chownSync(directory, user.uid, user.gid);
  const files = join(directory, 'postgres');
  const initialize = ['-D', files, '-U', 'bench', '-A', 'trust', '-E', 'UTF8'];
  execFileSync(join(dirname(program), 'initdb'), initialize, { stdio: 'pipe', cwd: '/', ...user });
  const port = await freePort();
  const where = ['-D', files, '-p', String(port), '-k', files, '-c', 'listen_addresses=127.0.0.1'];
  await launch(program, where, { ready: /ready to accept connections/, cwd: '/', user });
  return `postgres://bench@127.0.0.1:${port}/postgres`;
};

/** Debian keeps the server out of the PATH, in a folder for each version. */
const findPostgres = (): string | undefined => {
  const versions = '/usr/lib/postgresql';
  let folders: string[] = [];
  try {
    folders = readdirSync(versions).map((version) => join(versions, version, 'bin'));
  } catch {
    // Not Debian's.
  }
  return findProgram('postgres', folders);
};
