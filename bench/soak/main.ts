import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type Client, makeClient } from '../../clients/sdk/client.ts';
import { openSite } from '../side-by-side/processes.ts';
import { toSvg } from './chart.ts';
import { parseOptions, type SoakOptions, USAGE } from './options.ts';
import { CSV_HEAD, type Finding, judge, type Sample, toCsvLine } from './samples.ts';
import { watchServer } from './watch.ts';
import { runCommand } from './work.ts';

/* `npm run soak`: mixed commands for an hour, and whether anything of the server grows. docs/reliability.md has what came of it. */
const ROOT = join(import.meta.dirname, '..', '..');
const HOUR_MINUTES = 60;
/** More at once means that the machine cannot keep up: then the next waits, and is counted as late. */
const MOST_AT_ONCE = 400;
const EXIT = { failed: 1, usage: 2, interrupted: 130 } as const;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const main = async (over: AbortSignal): Promise<number> => {
  const options = parseOptions(process.argv.slice(2));
  if (typeof options === 'string') {
    say(`${options}\n\n${USAGE}`);
    return EXIT.usage;
  }
  const folder = mkdtempSync(join(options.data ?? '/var/tmp', 'errand-soak-'));
  const site = openSite(folder, over);
  try {
    const dataDirectory = join(folder, 'data');
    const probeFile = join(folder, 'probe.jsonl');
    const errand = join(ROOT, 'clients/cli/errand.js');
    const args = ['--import', join(import.meta.dirname, 'probe.ts'), errand, 'serve', '--port', '0'];
    const { pid, said } = await site.launch(process.execPath, [...args, '--data', dataDirectory], {
      ready: /serves at (http:\/\/127\.0\.0\.1:\d+)/,
      env: { ...process.env, ERRAND_SOAK_PROBE: probeFile },
    });
    const client = makeClient({ url: said[1] as string });
    await client.putSecret('soak', new TextEncoder().encode('a secret that is masked'));
    const look = watchServer({ pid, dataDirectory, probeFile });
    const soaked = await soak(client, look, options, over);
    return report(soaked, options);
  } finally {
    await site.close();
    rmSync(folder, { recursive: true, force: true });
  }
};

interface Soaked {
  readonly samples: readonly Sample[];
  readonly submitted: number;
  readonly late: number;
  readonly faults: readonly string[];
  /** After all of them had their time to end. */
  readonly notFinal: number;
}

const soak = async (
  client: Client,
  look: ReturnType<typeof watchServer>,
  options: SoakOptions,
  over: AbortSignal,
): Promise<Soaked> => {
  const csv = csvFile(options);
  if (csv !== undefined) writeFileSync(csv, CSV_HEAD);
  const samples: Sample[] = [];
  const faults: string[] = [];
  const running = new Set<Promise<void>>();
  const acknowledged = new Set<string>();
  let submitted = 0;
  let late = 0;
  let notFinal = 0;
  const start = (): void => {
    let isCounted = false;
    const one = runCommand(
      client,
      (id) => {
        acknowledged.add(id);
        notFinal++;
        isCounted = true;
      },
      submitted++,
    )
      .then(
        () => void (isCounted && notFinal--),
        (error: unknown) => void faults.push(String(error)),
      )
      .finally(() => running.delete(one));
    running.add(one);
  };
  const began = performance.now();
  const minutesNow = (): number => (performance.now() - began) / 60_000;
  let nextSampleAt = options.everySeconds / 60;
  while (minutesNow() < options.minutes && !over.aborted) {
    const due = Math.floor(minutesNow() * 60 * options.rate) - submitted - late;
    for (let i = 0; i < due; i++) {
      if (running.size < MOST_AT_ONCE) start();
      else late++;
    }
    if (minutesNow() >= nextSampleAt) {
      nextSampleAt += options.everySeconds / 60;
      const sample = { minutes: minutesNow(), ...look(), submitted, notFinal };
      samples.push(sample);
      if (csv !== undefined) appendFileSync(csv, toCsvLine(sample));
      if (samples.length % 30 === 1) say(toCsvLine(sample).trimEnd());
    }
    await wait(20);
  }
  await Promise.all(running);
  return { samples, submitted, late, faults, notFinal: await countUnfinished(client, acknowledged, faults) };
};

/** By the server's own word, of all that it ever acknowledged. */
const countUnfinished = async (client: Client, acknowledged: Set<string>, faults: string[]): Promise<number> => {
  const missing = new Set(acknowledged);
  let unfinished = 0;
  for await (const { id, endedAt } of client.list()) {
    missing.delete(id);
    if (endedAt === null) unfinished++;
  }
  if (missing.size > 0) faults.push(`${missing.size} acknowledged commands are gone, such as ${[...missing][0]}`);
  return unfinished;
};

const csvFile = ({ out, minutes }: SoakOptions): string | undefined => {
  const folder = out ?? (minutes >= HOUR_MINUTES ? join(ROOT, 'docs') : undefined);
  return folder === undefined ? undefined : join(folder, 'soak.csv');
};

const report = ({ samples, submitted, late, faults, notFinal }: Soaked, options: SoakOptions): number => {
  const findings = judge(samples);
  const lines = [
    '| what | grows in a minute | bar | |',
    '| --- | --- | --- | --- |',
    ...findings.map(toRow),
    '',
    `${submitted} commands, ${late} put off as too many ran, ${faults.length} faults, ${notFinal} not final at the end.`,
    ...[...new Set(faults)].slice(0, 10),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  const csv = csvFile(options);
  if (csv !== undefined) writeFileSync(csv.replace(/csv$/, 'svg'), toSvg(samples, options.rate));
  return faults.length === 0 && notFinal === 0 && findings.every(({ held }) => held) ? 0 : EXIT.failed;
};

const toRow = ({ title, perMinute, mostPerMinute, held }: Finding): string =>
  `| ${title} | ${perMinute.toFixed(3)} | ${mostPerMinute} | ${held ? 'held' : '**missed**'} |`;

const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interruption.abort());
process.exitCode = await main(interruption.signal).catch((error: unknown) => {
  say(String((error as Error).message));
  return interruption.signal.aborted ? EXIT.interrupted : EXIT.failed;
});
