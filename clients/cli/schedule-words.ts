import type { ScheduleSummary } from '../sdk/schedules.ts';

/** A moment in the words and the time zone of whoever reads it. */
export const moment = (timestamp: string): string =>
  new Date(timestamp).toLocaleString(undefined, {
    weekday: 'short',
    year: 'numeric',
    month: 'short',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
    timeZoneName: 'short',
  });

/** How long until then, roughly. */
export const until = (timestamp: string): string => {
  const seconds = Math.round((Date.parse(timestamp) - Date.now()) / 1_000);
  if (seconds < 1) return 'now';
  if (seconds < 60) return `in ${seconds}s`;
  if (seconds < 3_600) return `in ${Math.round(seconds / 60)}m`;
  if (seconds < 2 * 86_400) return `in ${Math.round(seconds / 3_600)}h`;
  return `in ${Math.round(seconds / 86_400)}d`;
};

/** When it fires, as it was asked for. */
export const timingText = ({ cron, timeZone, everySeconds, at }: ScheduleSummary): string => {
  if (cron !== null) return `${cron} ${timeZone}`;
  return everySeconds === null ? `once, ${moment(at ?? '')}` : `each ${durationOf(everySeconds)}`;
};

const UNITS = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'm'],
] as const;

/** In the largest unit that says it exactly. */
const durationOf = (seconds: number): string => {
  const [size, unit] = UNITS.find(([length]) => seconds % length === 0) ?? [1, 's'];
  return `${seconds / size}${unit}`;
};
