import { parseArgs } from 'node:util';

export interface SoakOptions {
  readonly minutes: number;
  /** Commands that are submitted each second, whatever becomes of the earlier ones. */
  readonly rate: number;
  readonly everySeconds: number;
  /** Where the server keeps its data; undefined means a folder below /var/tmp that is removed at the end. */
  readonly data: string | undefined;
  /** Where the samples and the chart go; undefined means docs/ for an hour or more, and nowhere for less. */
  readonly out: string | undefined;
}

export const USAGE = `Usage: npm run soak -- [options]

Loads a server with mixed commands and watches whether anything of it grows. Linux.

  --minutes N     how long (default 60)
  --rate N        commands a second (default 50)
  --every N       seconds between two samples (default 10)
  --data DIR      where the server keeps its data, in a new folder (default: /var/tmp, which is on a disk)
  --out DIR       where soak.csv and soak.svg go (default: docs, if it is an hour or more)
`;

/** The options, or what is wrong with them in words for a person. */
export const parseOptions = (args: readonly string[]): SoakOptions | string => {
  try {
    const text = { type: 'string' } as const;
    const { values } = parseArgs({
      args: [...args],
      options: { minutes: text, rate: text, every: text, data: text, out: text },
    });
    return {
      minutes: wholeNumber('minutes', values.minutes) ?? 60,
      rate: wholeNumber('rate', values.rate) ?? 50,
      everySeconds: wholeNumber('every', values.every) ?? 10,
      data: values.data,
      out: values.out,
    };
  } catch (error) {
    return (error as Error).message;
  }
};

const wholeNumber = (name: string, text: string | undefined): number | undefined => {
  if (text === undefined || /^[1-9]\d{0,5}$/.test(text)) return text === undefined ? undefined : Number(text);
  throw new Error(`--${name} takes a whole number from 1 on, not ${text}.`);
};
