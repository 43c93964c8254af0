import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Client, makeClient } from '../../clients/sdk/client.ts';
import { leaksInWords } from '../support/canaries/leaks.ts';
import { startServer } from '../support/cli.ts';
import { LISTED_METRICS } from '../support/telemetry/listed-metrics.ts';
import { hasPrometheus, PROMTOOL, RULES_FOLDER, startPrometheus } from '../support/telemetry/prometheus.ts';
import { tempDirectory } from '../support/temp-directory.ts';

const sh = (script: string, over: object = {}) => ({
  argv: ['/bin/sh', '-c', script] as [string, ...string[]],
  ...over,
});

/** Text of Prometheus as `name{labels}` with its value. */
const readText = (text: string): ReadonlyMap<string, number> =>
  new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );

/** Names of series, such as `errand_run_seconds_bucket`. */
const namesIn = (text: string): ReadonlySet<string> =>
  new Set([...readText(text).keys()].map((series) => series.replace(/\{.*$/, '')));

/** The names of metrics in an expression. */
const metricsOf = (expression: string): readonly string[] => [
  ...new Set(expression.match(/\b(?:errand|process|nodejs)_[a-z0-9_]+\b/g)),
];

const scrape = async (url: string, key?: string): Promise<Response> =>
  fetch(`${url}/metrics`, key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } });

/** One command of each kind of end, and a request of each kind of answer. */
const exercise = async (client: Client, url: string): Promise<void> => {
  for (const exitCode of [0, 0, 7]) await client.run(sh(`exit ${exitCode}`));
  await client.run(sh('sleep 60', { timeoutSeconds: 1 }));
  const waits = await client.submit(sh('sleep 60'));
  await client.cancel(waits.id);
  while ((await client.get(waits.id, { waitSeconds: 5 })).endedAt === null);
  expect((await fetch(`${url}/v1/commands/cmd_none`)).status).toBe(400);
  expect((await fetch(`${url}/nothing/here`)).status).toBe(404);
};

describe('the figures of a server', () => {
  test('count what happened, by names that are the operator’s or ours', async () => {
    const server = await startServer();
    const client = makeClient({ url: server.url });
    await exercise(client, server.url);
    const response = await scrape(server.url);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const text = await response.text();
    const figures = readText(text);
    const ended = (status: string, reason: string) =>
      figures.get(`errand_commands_ended_total{status="${status}",target="local",reason="${reason}"}`);
    expect([
      ended('succeeded', 'exit'),
      ended('failed', 'exit'),
      ended('timed_out', 'timeout'),
      ended('canceled', 'canceled'),
    ]).toEqual([2, 1, 1, 1]);
    expect(figures.get('errand_commands_submitted_total{target="local",priority="normal"}')).toBe(5);
    expect(figures.get('errand_run_seconds_count{target="local"}')).toBe(5);
    expect(figures.get('errand_queue_wait_seconds_count{priority="normal"}')).toBe(5);
    expect(figures.get('errand_target_state{target="local",state="healthy"}')).toBe(1);
    expect(figures.get('errand_http_requests_total{method="GET",route="none",status="404"}')).toBe(1);
    expect(figures.get('errand_http_requests_total{method="GET",route="/v1/commands/{id}",status="400"}')).toBe(1);
    expect(figures.get('errand_commands_unfinished{status="running",priority="normal"}')).toBe(0);
    expect(text).not.toMatch(/cmd_|tenant/);
    expect(leaksInWords([{ where: 'the figures', bytes: Buffer.from(text) }])).toEqual([]);
  });

  test('show what waits, and for how long', async () => {
    const dataDirectory = tempDirectory();
    const first = await startServer(dataDirectory, ['--concurrency', '1']);
    const client = makeClient({ url: first.url });
    await client.submit(sh('sleep 1000'));
    for (const priority of ['high', 'normal', 'low'] as const) await client.submit(sh('true', { priority }));
    const unfinished = async (url: string) => {
      const figures = readText(await (await scrape(url)).text());
      return Object.fromEntries(
        ['high', 'normal', 'low'].map((priority) => [
          priority,
          figures.get(`errand_commands_unfinished{status="queued",priority="${priority}"}`),
        ]),
      );
    };
    // One of them may be handled beside the one that runs.
    await expect.poll(() => unfinished(first.url)).toMatchObject({ low: 1 });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const age = readText(await (await scrape(first.url)).text()).get('errand_queue_oldest_age_seconds{priority="low"}');
    expect(age).toBeGreaterThan(1);
  });

  test('stay bounded whatever callers send', async () => {
    const server = await startServer();
    const count = async () => {
      const series = [...readText(await (await scrape(server.url)).text()).keys()];
      return series.filter((name) => name.startsWith('errand_http_')).length;
    };
    await fetch(`${server.url}/nothing/0`, { method: 'PROPFIND' });
    await fetch(`${server.url}/nothing/0`);
    await scrape(server.url);
    const before = await count();
    for (let n = 1; n < 200; n++) {
      await fetch(`${server.url}/nothing/${n}?q=${n}`);
      if (n % 10 === 0) await fetch(`${server.url}/v1/${n}`, { method: 'PROPFIND', headers: { prefer: `x=${n}` } });
    }
    expect(await count()).toBe(before);
  });

  test('are for who may read them', async () => {
    const dataDirectory = tempDirectory();
    const server = await startServer(dataDirectory);
    const client = makeClient({ url: server.url });
    const { key: reader } = await client.createKey({ name: 'prometheus', permissions: ['metrics:read'] });
    const { key: other } = await client.createKey({ name: 'ci', permissions: ['commands:read'] });
    expect((await scrape(server.url, reader)).status).toBe(200);
    expect((await scrape(server.url, other)).status).toBe(403);
    expect((await scrape(server.url, 'nonsense')).status).toBe(401);
    const read = await fetch(`${server.url}/v1/commands`, { headers: { authorization: `Bearer ${reader}` } });
    expect(read.status).toBe(403);
  });

  test('are all listed in the docs, and what is listed is there', async () => {
    const server = await startServer();
    await exercise(makeClient({ url: server.url }), server.url);
    const names = [...namesIn(await (await scrape(server.url)).text())]
      .filter((name) => name.startsWith('errand_'))
      .map((name) => name.replace(/_(bucket|sum|count)$/, ''));
    const quiet = ['errand_store_faults_total', 'errand_provider_call_duration_seconds'];
    expect([...new Set([...names, ...quiet])].sort()).toEqual([...LISTED_METRICS].sort());
  });
});

const dashboard = JSON.parse(readFileSync(join(RULES_FOLDER, 'grafana', 'errand.json'), 'utf8')) as {
  panels: { title: string; targets: { expr: string }[] }[];
};
const rules = readFileSync(join(RULES_FOLDER, 'errand.rules.yml'), 'utf8');

describe('the dashboard and the alert rules', () => {
  test('ask for nothing that a server does not have', async () => {
    const asked = [rules, ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))].flatMap(
      metricsOf,
    );
    const server = await startServer();
    await exercise(makeClient({ url: server.url }), server.url);
    const text = await (await scrape(server.url)).text();
    // Those that have counted nothing yet are declared.
    const declared = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name = '', type]) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name],
    );
    expect([...new Set(asked)].filter((name) => !declared.includes(name))).toEqual([]);
    expect(asked.length).toBeGreaterThan(30);
  });
});

describe.skipIf(!hasPrometheus)(`with Prometheus${hasPrometheus ? '' : ' (needs the package prometheus)'}`, () => {
  const promtool = (args: readonly string[], input?: string): string =>
    execFileSync(PROMTOOL, [...args], {
      cwd: RULES_FOLDER,
      encoding: 'utf8',
      ...(input === undefined ? {} : { input }),
    });

  test('the rules are rules, each fires when it should, and a healthy server calls nobody', () => {
    expect(promtool(['check', 'rules', 'errand.rules.yml'])).toContain('SUCCESS: 16 rules found');
    expect(promtool(['test', 'rules', 'errand.rules.test.yml'])).toContain('SUCCESS');
    expect(promtool(['check', 'config', '--syntax-only', 'prometheus.yml'])).toContain('SUCCESS');
    const tested = readFileSync(join(RULES_FOLDER, 'errand.rules.test.yml'), 'utf8');
    for (const [, name] of rules.matchAll(/- alert: (\w+)/g))
      expect(tested.split(`alertname: ${name}`)).toHaveLength(3);
  });

  test('what a server says is in its format to the letter', async () => {
    const server = await startServer();
    await exercise(makeClient({ url: server.url }), server.url);
    const text = await (await scrape(server.url)).text();
    // Of Node's own figures two do not follow its advice on names.
    const ours = text
      .split('\n\n')
      .filter((block) => block.includes(' errand_'))
      .join('\n\n');
    expect(promtool(['check', 'metrics'], `${ours}\n`)).toBe('');
  });

  test('a real one scrapes a real server, sees the commands, and can draw every panel', async () => {
    const folder = tempDirectory();
    const server = await startServer(join(folder, 'data'));
    const client = makeClient({ url: server.url });
    const { key } = await client.createKey({ name: 'prometheus', permissions: ['metrics:read'] });
    const prometheus = await startPrometheus(join(folder, 'prometheus'), new URL(server.url).host, key);
    const latest = async (expression: string) => (await prometheus.query(expression))[0]?.value;
    await expect.poll(() => latest('up{job="errand"}'), { timeout: 20_000 }).toBe(1);
    await exercise(client, server.url);
    await expect.poll(() => latest('sum(errand_commands_ended_total)'), { timeout: 20_000 }).toBe(5);
    expect(await latest('sum(errand_commands_ended_total{status="succeeded"})')).toBe(2);
    // A rate needs two samples with the end of something between them.
    await client.run(sh('true'));
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const silent: string[] = [];
    for (const { title, targets } of dashboard.panels) {
      for (const { expr } of targets) {
        const asked = expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '30s');
        if ((await prometheus.query(asked)).length === 0) silent.push(title);
      }
    }
    // Nothing of theirs has happened here.
    expect(silent).toEqual(['Time of calls of providers', 'Faults of the store']);
    const groups = JSON.stringify(await prometheus.get('/api/v1/rules'));
    expect(groups).not.toMatch(/"health":"err"|"state":"firing"/);
    expect(groups.match(/"type":"alerting"/g)).toHaveLength(16);
  });
});
