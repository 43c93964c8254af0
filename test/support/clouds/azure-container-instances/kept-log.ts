const KEPT_WHILE_RUNNING = 4 * 1024 * 1024;
const KEPT_AFTERWARDS = { bytes: 16 * 1024, lines: 1_000 };

/** What Azure keeps of a log: 4 MB while its container runs, and little afterwards. */
export const keptOf = (log: string, isRunning: boolean): string =>
  isRunning
    ? lastBytes(log, KEPT_WHILE_RUNNING)
    : lastBytes(lastLines(log, KEPT_AFTERWARDS.lines), KEPT_AFTERWARDS.bytes);

const lastBytes = (log: string, bytes: number): string => Buffer.from(log).subarray(-bytes).toString();

export const lastLines = (log: string, lines: number): string =>
  log
    .split(/(?<=\n)/)
    .slice(-lines)
    .join('');
