import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toSvg } from './chart.ts';
import { parseOptions, USAGE } from './options.ts';
import { replaceReport, toMarkdown } from './report.ts';
import { runSideBySide } from './run.ts';
import { bullmq } from './systems/bullmq.ts';
import { errand } from './systems/errand.ts';
import { fcgiwrap } from './systems/fcgiwrap.ts';
import { graphileWorker, pgBoss } from './systems/postgres-queues.ts';
import type { System } from './systems/system.ts';
import { webhook } from './systems/webhook.ts';

/* `npm run bench`: Errand and its peers side by side. docs/performance.md says what is measured and how, and holds what came of it. */
const SYSTEMS: readonly System[] = [errand, webhook, fcgiwrap, bullmq, graphileWorker, pgBoss];
const DOCS = join(import.meta.dirname, '..', '..', 'docs');
const EXIT = { nothingMeasured: 1, usage: 2, interrupted: 130 } as const;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const main = async (over: AbortSignal): Promise<number> => {
  const options = parseOptions(
    process.argv.slice(2),
    SYSTEMS.map(({ name }) => name),
  );
  if (typeof options === 'string') {
    say(`${options}\n\n${USAGE}`);
    return EXIT.usage;
  }
  const run = await runSideBySide(SYSTEMS, options, { say, over });
  const report = toMarkdown(run);
  process.stdout.write(`${report}\n`);
  if (run.results.samples.length === 0) return EXIT.nothingMeasured;
  // What shows only a part must not replace what shows all.
  if (options.quick || options.only) return 0;
  const page = join(DOCS, 'performance.md');
  writeFileSync(page, replaceReport(readFileSync(page, 'utf8'), report));
  writeFileSync(join(DOCS, 'performance.svg'), toSvg(run.results.samples));
  say('Written: docs/performance.md, docs/performance.svg');
  return 0;
};

const interruption = new AbortController();
// Every time: npm passes on a Ctrl-C that the terminal has sent already, and neither may cut the clearing up short.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interruption.abort());
process.exitCode = await main(interruption.signal).catch((error: unknown) => {
  if (interruption.signal.aborted) return EXIT.interrupted;
  say(String((error as Error).message));
  return EXIT.nothingMeasured;
});
