import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { bundleFunction } from '../infra/bundle.ts';

/*
 * Cold start: how long a fresh process takes to load each function as it is deployed, against a handler that imports the
 * DynamoDB client and nothing else. Ratios within one run, since machines differ and are noisy: `npm run bench:cold-start`.
 */
const ROUNDS = Number(process.argv[2] ?? 15);
const FUNCTIONS = ['commands', 'output', 'providers', 'system', 'runner', 'run-commands', 'sweep'];
/** An API handler may take so many times as long as the bare client. */
const MOST = 1.3;

const directory = mkdtempSync(join(tmpdir(), 'errand-bench-'));

const bundleBaseline = (): string => {
  const outfile = join(directory, 'baseline', 'index.mjs');
  buildSync({
    stdin: {
      contents: `import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
        const client = new DynamoDBClient({ region: 'eu-central-1' });
        export const handler = async () => client.config.serviceId;`,
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    mainFields: ['module', 'main'],
    minify: true,
    outfile,
    banner: { js: "import { createRequire as r } from 'node:module'; const require = r(import.meta.url);" },
  });
  return outfile;
};

/** What the deployed functions find in their environment. */
const env = {
  AWS_REGION: 'eu-central-1',
  AWS_ACCESS_KEY_ID: 'bench',
  AWS_SECRET_ACCESS_KEY: 'bench',
  ERRAND_TABLE: 'errand',
  ERRAND_BUCKET: 'errand',
  ERRAND_QUEUE_HIGH: 'https://sqs.eu-central-1.amazonaws.com/1/high',
  ERRAND_QUEUE_NORMAL: 'https://sqs.eu-central-1.amazonaws.com/1/normal',
  ERRAND_QUEUE_LOW: 'https://sqs.eu-central-1.amazonaws.com/1/low',
  ERRAND_KEY_SECRET: 'arn:aws:secretsmanager:eu-central-1:1:secret:key',
  ERRAND_TARGETS: JSON.stringify({
    runnerUrl: 'https://runner.example',
    targets: [
      { name: 'lambda', provider: 'lambda', config: { functionName: 'errand-execute', region: 'eu-central-1' } },
    ],
  }),
};

/** Milliseconds from the first line of a fresh process to the loaded module. */
const load = (file: string): number => {
  const program = `globalThis.awslambda = { streamifyResponse: (f) => f, HttpResponseStream: { from: (s) => s } };
    const t = performance.now(); await import(${JSON.stringify(file)}); process.stdout.write(String(performance.now() - t));`;
  return Number(execFileSync(process.execPath, ['--input-type=module', '-e', program], { env }).toString());
};

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;

try {
  const baseline = bundleBaseline();
  const files = FUNCTIONS.map((name) => ({
    name,
    file: join(bundleFunction(name, directory).directory, 'index.mjs'),
    ratios: [] as number[],
    times: [] as number[],
  }));
  const baselines: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const { file, ratios, times } of files) {
      const [bare, whole] = [load(baseline), load(file)];
      baselines.push(bare);
      times.push(whole);
      ratios.push(whole / bare);
    }
  }
  process.stdout.write(`DynamoDB client alone: ${median(baselines).toFixed(0)} ms\n`);
  for (const { name, ratios, times } of files) {
    const ratio = median(ratios);
    const isApi = !['run-commands', 'sweep'].includes(name);
    const verdict = isApi ? (ratio <= MOST ? 'ok' : `more than ${MOST}`) : '';
    process.stdout.write(`${name.padEnd(14)} ${median(times).toFixed(0)} ms  ×${ratio.toFixed(2)} ${verdict}\n`);
  }
} finally {
  rmSync(directory, { recursive: true });
}
