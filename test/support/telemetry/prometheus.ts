import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import * as z from 'zod';
import { freePort } from '../free-port.ts';

/** Where it was brought without being installed. */
const FOLDER = process.env['ERRAND_PROMETHEUS'];
const programOf = (name: string): string => (FOLDER === undefined ? name : join(FOLDER, name));
const PROMETHEUS = programOf('prometheus');
export const PROMTOOL = programOf('promtool');
export const RULES_FOLDER = fileURLToPath(new URL('../../../observability', import.meta.url));

const has = (program: string): boolean => {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

/** Debian's package brings both. */
export const hasPrometheus = has(PROMETHEUS) && has(PROMTOOL);

const Answer = z.object({
  status: z.literal('success'),
  data: z.object({
    result: z.array(
      z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]).optional() }),
    ),
  }),
});

export interface Prometheus {
  /** The samples that an expression gives now. @throws Error for one that Prometheus refuses */
  query(expression: string): Promise<readonly { labels: Readonly<Record<string, string>>; value: number }[]>;
  /** Of its HTTP API, as JSON. */
  get(path: string): Promise<unknown>;
}

/** A real Prometheus that scrapes a server each second with a key in a file, under the alert rules that we ship. */
export const startPrometheus = async (folder: string, target: string, key: string): Promise<Prometheus> => {
  mkdirSync(folder, { recursive: true });
  const keyFile = join(folder, 'errand.key');
  writeFileSync(keyFile, key, { mode: 0o600 });
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [join(RULES_FOLDER, 'errand.rules.yml')],
    scrape_configs: [
      {
        job_name: 'errand',
        authorization: { credentials_file: keyFile },
        static_configs: [{ targets: [target] }],
      },
    ],
  };
  const file = join(folder, 'prometheus.yml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
  const port = await freePort();
  const child = spawn(
    PROMETHEUS,
    [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, 'tsdb')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=error',
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  onTestFinished(async () => {
    child.kill('SIGKILL');
    // It is where it belongs; elsewhere in the folder none may be.
    rmSync(keyFile);
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  });
  const url = `http://127.0.0.1:${port}`;
  while (
    !(await fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (child.exitCode !== null) throw new Error(`Prometheus ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const get = async (path: string): Promise<unknown> => (await fetch(`${url}${path}`)).json();
  return {
    get,
    async query(expression) {
      const { data } = Answer.parse(await get(`/api/v1/query?${new URLSearchParams({ query: expression })}`));
      return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value?.[1]) }));
    },
  };
};
