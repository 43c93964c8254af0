import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { RUNNER_COMMAND } from '../../../shared/runner/program.ts';
import { KEEPER_MAIN, RUNNER_MAIN } from '../spawned-runner.ts';
import { startContainerInstances } from './azure-container-instances/container-instances-cloud.ts';
import { startCloudRunCloud } from './cloud-run/cloud-run-cloud.ts';
import { executorFunction } from './lambda/executor-function.ts';
import { REGION, startLambdaCloud } from './lambda/lambda-cloud.ts';
import { imageArnOf, startLambdaMicrovms } from './lambda-microvms/lambda-microvms-cloud.ts';

/*
 * The clouds on this machine, for trying them out: `npm run clouds`, and in another terminal
 * `npm start -- run --on lambda -- echo hello`. They speak the clouds' own protocols and really run what they are given.
 */
const { values } = parseArgs({ options: { data: { type: 'string', default: '.errand' } } });
const data = resolve(values.data);
const file = join(data, 'targets.json');
if (existsSync(file)) {
  process.stderr.write(`${file} is there already: move it away, or give another folder with --data.\n`);
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), 'errand-clouds-'));
const lambda = await startLambdaCloud({ folder, functions: { executor: executorFunction() } });
const microvms = await startLambdaMicrovms({
  folder,
  images: { errand: { command: [process.execPath, KEEPER_MAIN] } },
});
const containers = { folder, programs: { [RUNNER_COMMAND[0]]: [process.execPath, RUNNER_MAIN] } };
const cloudRun = await startCloudRunCloud(containers);
const containerInstances = await startContainerInstances(containers);
const targets = [
  {
    name: 'lambda',
    provider: 'lambda',
    config: { functionName: 'executor', region: REGION, endpoint: lambda.endpoint },
  },
  {
    name: 'lambda-microvm',
    provider: 'lambda-microvm',
    config: { region: REGION, image: imageArnOf('errand'), endpoint: microvms.endpoint },
  },
  {
    name: 'cloud-run',
    provider: 'cloud-run',
    config: {
      project: 'trial-project',
      region: 'europe-west1',
      image: 'errand-base',
      serviceAccount: 'commands@trial-project.iam.gserviceaccount.com',
      endpoint: cloudRun.endpoint,
    },
  },
  {
    name: 'azure-container-instances',
    provider: 'azure-container-instances',
    config: {
      subscriptionId: '00000000-0000-0000-0000-000000000000',
      resourceGroup: 'trial',
      location: 'westeurope',
      image: 'errand-base',
      endpoint: containerInstances.endpoint,
    },
  },
];
mkdirSync(data, { recursive: true, mode: 0o700 });
writeFileSync(file, `${JSON.stringify({ targets }, null, 2)}\n`, { mode: 0o600 });
process.stdout.write(
  `${targets.map(({ name }) => name).join(', ')}: ready, and known to ${file} until this ends (Ctrl-C).\n` +
    `Try, in another terminal: npm start -- run --on ${targets[0]?.name} -- echo hello\n`,
);

const end = async (): Promise<void> => {
  rmSync(file, { force: true });
  await Promise.all([lambda.close(), microvms.close(), cloudRun.close(), containerInstances.close()]);
  rmSync(folder, { recursive: true, force: true });
  process.exit(0);
};
process.once('SIGINT', end).once('SIGTERM', end);
