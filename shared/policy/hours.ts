import type { Instant } from '../domain/clock.ts';
import { type Hours, WEEKDAYS, type Weekday } from '../domain/policy.ts';

/** Whether it is that time. */
export const isWithin = ({ timeZone, days, from, to }: Hours, now: Instant): boolean => {
  const { day, minute } = localTime(timeZone, now);
  const [begin, end] = [minuteOf(from), minuteOf(to)];
  const isDay = (one: Weekday) => days === undefined || days.includes(one);
  if (begin < end) return isDay(day) && minute >= begin && minute < end;
  return (isDay(day) && minute >= begin) || (isDay(dayBefore(day)) && minute < end);
};

const minuteOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
const dayBefore = (day: Weekday): Weekday => WEEKDAYS[(WEEKDAYS.indexOf(day) + 6) % 7] as Weekday;

const formatOf = (timeZone: string): Intl.DateTimeFormat =>
  new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });

const localTime = (timeZone: string, now: Instant): { readonly day: Weekday; readonly minute: number } => {
  const parts = Object.fromEntries(
    formatOf(timeZone)
      .formatToParts(now)
      .map(({ type, value }) => [type, value]),
  );
  return {
    day: String(parts['weekday']).toLowerCase() as Weekday,
    minute: Number(parts['hour']) * 60 + Number(parts['minute']),
  };
};
