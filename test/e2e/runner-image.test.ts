import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { bundleRunner } from '../../infra/bundle.ts';
import type { Provider } from '../../shared/providers/provider.ts';
import { RUNNER_COMMAND, runnerEnvironment } from '../../shared/runner/program.ts';
import { openRemote } from '../support/remote.ts';
import { aRun, recordedIo } from '../support/run-io.ts';
import { spawnedRunnerFeatures } from '../support/spawned-runner.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const PACK = fileURLToPath(new URL('../../infra/runner-image/pack.sh', import.meta.url));
const BUSYBOX = '/bin/busybox';

const isThere = (program: string): boolean => {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`]);
    return true;
  } catch {
    return false;
  }
};
const missing = [
  process.getuid?.() === 0 ? '' : 'root',
  existsSync(BUSYBOX) ? '' : 'busybox-static',
  ...['patchelf', 'chroot'].map((program) => (isThere(program) ? '' : program)),
].filter(Boolean);

/** An image that holds one static program and nothing else: no Node, no C library. */
const makeImage = (): string => {
  const image = tempDirectory();
  for (const folder of ['bin', 'tmp', 'proc', 'etc', 'dev']) mkdirSync(join(image, folder));
  execFileSync('cp', [BUSYBOX, join(image, 'bin/busybox')]);
  execFileSync('chroot', [image, '/bin/busybox', '--install', '-s', '/bin']);
  writeFileSync(join(image, 'etc/hosts'), '127.0.0.1 localhost\n');
  // As every container has them.
  execFileSync('mount', ['-t', 'proc', 'proc', join(image, 'proc')]);
  execFileSync('mknod', ['-m', '666', join(image, 'dev/null'), 'c', '1', '3']);
  onTestFinished(() => {
    execFileSync('umount', [join(image, 'proc')]);
  });
  return image;
};

test.skipIf(missing.length > 0)(
  `the packed runner runs a command in an image without Node and without a C library${missing.length > 0 ? ` (needs ${missing.join(', ')})` : ''}`,
  async () => {
    const { directory } = bundleRunner(join(tempDirectory(), 'runner'));
    const image = makeImage();
    execFileSync(PACK, [directory, join(image, 'errand')], {
      env: { PATH: `${join(process.execPath, '..')}:${process.env['PATH']}` },
    });
    const remote = await openRemote();
    onTestFinished(() => remote.close());
    const inImage: Provider = {
      name: 'chroot',
      features: spawnedRunnerFeatures,
      async start({ token }) {
        const env = { ...runnerEnvironment({ url: remote.url, token }), PATH: process.env['PATH'], TMPDIR: '/tmp' };
        spawn('chroot', [image, ...RUNNER_COMMAND], { env, stdio: ['ignore', 'ignore', 'inherit'] });
        return { kind: 'accepted' };
      },
      observe: async () => ({ kind: 'alive' }),
      cancel: async () => {},
      health: async () => ({ healthy: true }),
      close: async () => {},
    };
    const io = recordedIo();
    const script = 'cat /proc/$PPID/cmdline | tr "\\0" " "; ls /usr; echo "$LD_LIBRARY_PATH."; exit 7';
    const outcome = await remote.wrap(inImage).start(aRun(['/bin/sh', '-c', script]), io);
    expect(outcome).toEqual({ kind: 'ended', exit: { exitCode: 7, signal: null } });
    expect(io.text('stdout')).toMatch(/^\/errand\/bin\/node .*\n?.*\.\n$/s);
    expect(io.text('stderr')).toContain('/usr: No such file');
  },
);
