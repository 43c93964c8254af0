import type { Check } from '../../shared/isolation/checks.ts';

export type { LogLine } from '../../shared/audit/verify.ts';
export type { Check } from '../../shared/isolation/checks.ts';
export type { BatteryReport, Finding, LevelReport, Outcome } from '../../shared/isolation/judge.ts';
export type { Place, PlaceLimits } from '../../shared/isolation/place.ts';

/** The one door from the CLI to the server's code, for what runs in this process. */
export const openEmbedded: typeof import('../../local/embedded.ts').openEmbedded = async (options) =>
  (await import('../../local/embedded.ts')).openEmbedded(options);

export const serve: typeof import('../../local/serve.ts').serve = async (options) =>
  (await import('../../local/serve.ts')).serve(options);

export const checkThisMachine = async (env: NodeJS.ProcessEnv): Promise<Check[]> => {
  const { checkMachine } = await import('../../shared/isolation/checks.ts');
  return checkMachine((await import('../../local/isolation/machine-facts.ts')).readMachineFacts(env));
};

export const attackIsolation: typeof import('../../local/isolation/attack.ts').attackIsolation = async (options) =>
  (await import('../../local/isolation/attack.ts')).attackIsolation(options);

export const backUp: typeof import('../../local/backup/backup.ts').backUp = async (options) =>
  (await import('../../local/backup/backup.ts')).backUp(options);

export const verifyBackup: typeof import('../../local/backup/verify.ts').verifyBackup = async (from) =>
  (await import('../../local/backup/verify.ts')).verifyBackup(from);

export const restoreBackup: typeof import('../../local/backup/restore.ts').restore = async (options) =>
  (await import('../../local/backup/restore.ts')).restore(options);

/** Asks nobody, and knows nothing of where a log comes from. */
export const verifyLog: typeof import('../../shared/audit/verify.ts').verifyLog = async (lines, trust) =>
  (await import('../../shared/audit/verify.ts')).verifyLog(lines, trust);

/** A lock that dies with its holder. */
export const tryLock = async (file: string): Promise<{ release(): void } | undefined> =>
  (await import('../../local/process-lock.ts')).tryLock(file);
