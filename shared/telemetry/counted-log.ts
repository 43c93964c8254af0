import { LOG_LEVELS, type Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** A log whose lines are counted, by level; debug ones are not worth it. */
export const countedLog = (log: Log, metrics: Metrics): Log => {
  const counted = Object.fromEntries(
    LOG_LEVELS.filter((level) => level !== 'debug').map((level) => [
      level,
      (...line: Parameters<Log['info']>) => {
        metrics.logged(level);
        log[level](...line);
      },
    ]),
  );
  return { ...log, ...counted };
};
