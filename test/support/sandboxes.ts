import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nativeProgram } from '../../shared/providers/local/helper-programs.ts';

const PLAIN_USER = 65_534;
const isRoot = process.getuid?.() === 0;

/** Whom a launcher is started by; `user` undefined: by us. */
export const STARTERS: readonly { readonly starter: string; readonly user: number | undefined }[] = isRoot
  ? [
      { starter: 'root', user: undefined },
      { starter: 'a plain user', user: PLAIN_USER },
    ]
  : [{ starter: 'a plain user', user: undefined }];

export interface SandboxReport {
  readonly name: string;
  readonly cgroups: number;
  readonly text: string;
  readonly advice: string;
}

/** What a launcher says of this machine, after `before` in a shell. */
export const reportOf = (file: string, wrapper: readonly string[] = []): SandboxReport => {
  const [program = '', ...args] = [...wrapper, file, 'report'];
  try {
    return JSON.parse(execFileSync(program, args, { encoding: 'utf8', cwd: '/' })) as SandboxReport;
  } catch (error) {
    return JSON.parse((error as { stdout: string }).stdout) as SandboxReport;
  }
};

/** The launcher that was built, where every user may execute it, and nobody else's processes have it as their program. */
export const ownLauncher = (): { file: string; remove: () => void } | undefined => {
  const built = nativeProgram()?.file;
  if (built === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  chmodSync(folder, 0o755);
  const file = join(folder, 'errand-launcher');
  copyFileSync(built, file);
  return { file, remove: () => rmSync(folder, { recursive: true, force: true }) };
};

/** Processes that execute this file: launchers, makers of sandboxes, keepers, and those that wait in one for a command. */
export const processesOf = (file: string): number[] =>
  readdirSync('/proc')
    .filter((pid) => {
      try {
        return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/exe`) === file;
      } catch {
        return false;
      }
    })
    .map(Number);

/** The same, by what each calls itself: `errand-maker`, `errand-keeper`, `errand-box`. */
export const processesNamed = (file: string, name: string): number[] =>
  processesOf(file).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name;
    } catch {
      return false;
    }
  });

/** Control groups of sandboxes whose maker is gone. */
export const abandonedGroups = (): string[] =>
  execFileSync('find', ['/sys/fs/cgroup', '-maxdepth', '6', '-name', 'errand-box.*'], { encoding: 'utf8' })
    .split('\n')
    .filter((path) => path !== '' && !isAlive(Number(path.split('.').pop())));

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

/** Resolves once it is true. */
export const until = async (fact: () => boolean, patienceMs = 15_000): Promise<void> => {
  for (const end = Date.now() + patienceMs; !fact(); ) {
    if (Date.now() > end) throw new Error(`It did not come true in ${patienceMs} ms: ${fact}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
};
