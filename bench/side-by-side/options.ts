import { parseArgs } from 'node:util';

export interface BenchOptions {
  readonly rounds: number;
  /** How long each row is measured in each round. */
  readonly seconds: number;
  /** Names of systems; undefined means all. */
  readonly only: readonly string[] | undefined;
  /** One short round: shows that everything works, and is no finding. */
  readonly quick: boolean;
  /** Also memory over 100,000 commands. */
  readonly long: boolean;
  /** Where all systems keep their data, so that they share a disk; undefined means /var/tmp. */
  readonly data: string | undefined;
}

export const USAGE = `Usage: npm run bench -- [options]

Runs Errand and its peers side by side and writes docs/performance.md and docs/performance.svg.

  --rounds N      shuffled rounds (default 5; --quick: 1)
  --seconds N     seconds for each row of a round (default 3; --quick: 1)
  --only NAME     only this system; may be repeated. Leaves the docs alone
  --quick         one short round, without the gigabyte of output. Leaves the docs alone
  --long          also the server's memory over 100,000 commands
  --data DIR      where all systems keep their data (default: /var/tmp, which is on a disk)
`;

/** The options, or what is wrong with them in words for a person. */
export const parseOptions = (args: readonly string[], systems: readonly string[]): BenchOptions | string => {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        only: { type: 'string', multiple: true },
        quick: { type: 'boolean', default: false },
        long: { type: 'boolean', default: false },
        data: { type: 'string' },
      },
    });
    const { quick, long, only, data } = values;
    const unknown = only?.find((name) => !systems.includes(name));
    if (unknown !== undefined) return `There is no system ${unknown}. There are: ${systems.join(', ')}.`;
    const rounds = wholeNumber('rounds', values.rounds) ?? (quick ? 1 : 5);
    const seconds = wholeNumber('seconds', values.seconds) ?? (quick ? 1 : 3);
    return { rounds, seconds, only, quick, long, data };
  } catch (error) {
    return (error as Error).message;
  }
};

const wholeNumber = (name: string, text: string | undefined): number | undefined => {
  if (text === undefined || /^[1-9]\d{0,5}$/.test(text)) return text === undefined ? undefined : Number(text);
  throw new Error(`--${name} takes a whole number from 1 on, not ${text}.`);
};
