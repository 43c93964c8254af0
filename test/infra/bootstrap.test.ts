import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { ContainerInstancesConfig } from '../../shared/providers/azure-container-instances/config.ts';
import { parseTargets } from '../../shared/providers/targets.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/**
 * Stands for a cloud's command line: writes down what it is asked, remembers what was made, and says that it is there from
 * then on. What it is asked to show that it does not remember, it fails.
 */
const CLI = `#!/bin/bash
here=$(dirname "$0")
me=$(basename "$0")
printf '%s' "$me" >>"$here/asked"; printf ' %q' "$@" >>"$here/asked"; echo >>"$here/asked"
all=" $* "
case $all in
  *" projects describe "*) echo 42 ;;
  *" account show "*) echo 22222222-2222-2222-2222-222222222222 ;;
  *" get-caller-identity "*) echo 123456789012 ;;
  *" get-outbound-web-identity-federation-info "*) [ -f "$here/issuer" ] && echo https://issuer.example || exit 255 ;;
  *" ad app list "*) [ -f "$here/made" ] && echo 33333333-3333-3333-3333-333333333333 ;;
  *" ad app create "*) echo 33333333-3333-3333-3333-333333333333 ;;
  *" role definition list "*) [ -f "$here/made" ] && echo there ;;
  *" group show "*) [ -f "$here/made" ] && echo "\${OWNER:-errand-production}" || exit 3 ;;
  *" ad sp show "*" --query "*) echo principal ;; # Asked once it was made.
  *" describe "*|*" show "*) [ -f "$here/made" ] || exit 1 ;;
  *" enable-outbound-web-identity-federation "*) touch "$here/issuer" ;;
esac
exit 0
`;

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** What the command line was asked, a line each. */
  readonly asked: readonly string[];
}

const prepare = (): { readonly folder: string; made(): void } => {
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  folders.push(folder);
  for (const name of ['gcloud', 'az', 'aws']) {
    writeFileSync(join(folder, name), CLI);
    chmodSync(join(folder, name), 0o755);
  }
  mkdirSync(join(folder, 'pack', 'bin'), { recursive: true });
  writeFileSync(join(folder, 'pack', 'bin', 'node'), '');
  return { folder, made: () => writeFileSync(join(folder, 'made'), '') };
};

const run = (script: string, folder: string, argv: readonly string[], env: Record<string, string> = {}): Promise<Ran> =>
  new Promise((resolve) => {
    const file = fileURLToPath(new URL(`../../infra/bootstrap/${script}`, import.meta.url));
    const PATH = `${folder}${delimiter}${process.env['PATH']}`;
    writeFileSync(join(folder, 'asked'), '');
    execFile(file, argv, { env: { ...process.env, ...env, PATH } }, (error, out, err) => {
      const asked = readFileSync(join(folder, 'asked'), 'utf8').trim().split('\n');
      resolve({ code: Number(error?.code ?? 0), out, err, asked });
    });
  });

const CREATES = / (create|create-aws) /;
const ACCOUNT = ['--aws-account', '123456789012', '--stage', 'production'];
const gcp = (folder: string) => [
  '--project',
  'a-project',
  '--region',
  'europe-west1',
  ...ACCOUNT,
  '--pack',
  join(folder, 'pack'),
];
const SUBSCRIPTION = '11111111-1111-1111-1111-111111111111';
const azure = ['--subscription', SUBSCRIPTION, '--location', 'westeurope', '--image', 'base', ...ACCOUNT];
/** Those functions that start, watch or remove commands elsewhere. */
const TRUSTED = ['run-commands', 'sweep', 'prepare-target'].map((name) => `errand-production-${name}`);

describe('the preparation of a Google Cloud project', () => {
  test('prints a target that the deployment takes, and makes no key', async () => {
    const { folder } = prepare();
    const { code, out, asked } = await run('gcp.sh', folder, gcp(folder));
    expect(code).toBe(0);
    const [target] = parseTargets(`{"targets":[${out}]}`).targets;
    const pool = '//iam.googleapis.com/projects/42/locations/global/workloadIdentityPools/errand-production';
    expect(target?.config).toEqual({
      project: 'a-project',
      region: 'europe-west1',
      image: 'debian:12-slim',
      serviceAccount: 'errand-production-jobs@a-project.iam.gserviceaccount.com',
      runnerBucket: 'a-project-errand-production-runner',
      workloadIdentity: {
        audience: `${pool}/providers/aws`,
        serviceAccountEmail: 'errand-production-run@a-project.iam.gserviceaccount.com',
      },
    });
    expect(asked.filter((line) => /keys/.test(line))).toEqual([]);
  });

  test('trusts the roles that need it, of one account, and gives the account of commands no role in the project', async () => {
    const { folder } = prepare();
    const { asked } = await run('gcp.sh', folder, gcp(folder));
    const [provider] = asked.filter((line) => line.includes('create-aws'));
    expect(provider?.replaceAll('\\', '')).toContain('--account-id 123456789012');
    expect(provider?.replaceAll('\\', '')).toContain(`in ['${TRUSTED.join("', '")}']`);
    const inProject = asked.filter((line) => line.includes('projects add-iam-policy-binding'));
    expect(inProject).toHaveLength(1);
    expect(inProject[0]).toContain('errand-production-run@');
    const onBucket = asked.filter((line) => line.includes('buckets add-iam-policy-binding')).join('\n');
    expect(onBucket).toMatch(/errand-production-jobs@\S+ --role roles\/storage.objectViewer/);
    expect(onBucket).toMatch(/aws_role\/errand-production-prepare-target --role roles\/storage.objectUser/);
  });

  test('twice makes nothing twice, and prints the same', async () => {
    const { folder, made } = prepare();
    const first = await run('gcp.sh', folder, gcp(folder));
    expect(first.asked.filter((line) => CREATES.test(line))).toHaveLength(6);
    made();
    const second = await run('gcp.sh', folder, gcp(folder));
    expect(second.asked.filter((line) => CREATES.test(line))).toEqual([]);
    expect(second.out).toBe(first.out);
  });
});

describe('the preparation of an Azure subscription', () => {
  test('prints a target that the deployment takes, and makes no password', async () => {
    const { folder } = prepare();
    const { code, out, asked } = await run('azure.sh', folder, azure);
    expect(code).toBe(0);
    expect(parseTargets(`{"targets":[${out}]}`).targets[0]?.config).toEqual({
      subscriptionId: SUBSCRIPTION,
      resourceGroup: 'errand-production',
      location: 'westeurope',
      image: 'base',
      identity: {
        tenantId: '22222222-2222-2222-2222-222222222222',
        clientId: '33333333-3333-3333-3333-333333333333',
      },
    });
    expect(asked.filter((line) => /password|secret|credential reset/.test(line))).toEqual([]);
  });

  test.for<[string, string, object]>([
    ['holds it', 'base', { image: 'base', runnerImage: 'base', runner: 'baked' }],
    ['does not hold it', 'runner', { image: 'base', runnerImage: 'runner', runner: 'init' }],
  ])('with an image of the runner, it is copied into an image that %s', async ([, runnerImage, expected]) => {
    const { folder } = prepare();
    const { out } = await run('azure.sh', folder, [...azure, '--runner-image', runnerImage]);
    const [target] = parseTargets(`{"targets":[${out}]}`).targets;
    expect(ContainerInstancesConfig.parse(target?.config)).toMatchObject(expected);
  });

  test('trusts the roles that need it, of one account, in one resource group', async () => {
    const { folder } = prepare();
    const { asked } = await run('azure.sh', folder, azure);
    const trusted = asked.filter((line) => line.includes('federated-credential create'));
    for (const [index, role] of TRUSTED.entries()) {
      expect(trusted[index]).toContain(`arn:aws:iam::123456789012:role/${role}`);
      expect(trusted[index]).toContain('https://issuer.example');
    }
    expect(trusted).toHaveLength(TRUSTED.length);
    const assigned = asked.filter((line) => line.includes('role assignment create'));
    expect(assigned).toHaveLength(1);
    expect(assigned[0]).toContain(`--scope /subscriptions/${SUBSCRIPTION}/resourceGroups/errand-production`);
  });

  test('leaves a resource group of somebody else alone', async () => {
    const { folder, made } = prepare();
    made();
    const { code, err, asked } = await run('azure.sh', folder, azure, { OWNER: 'somebody-else' });
    expect(code).toBe(1);
    expect(err).toContain('not given to errand-production');
    expect(asked.filter((line) => CREATES.test(line))).toEqual([]);
  });

  test('twice makes nothing but the assignment, which Azure makes once, and prints the same', async () => {
    const { folder, made } = prepare();
    const first = await run('azure.sh', folder, azure);
    made();
    const second = await run('azure.sh', folder, azure);
    expect(second.asked.filter((line) => CREATES.test(line))).toEqual([
      expect.stringContaining('role assignment create'),
    ]);
    expect(second.out).toBe(first.out);
  });
});

test.for<[string, string, readonly string[], string]>([
  ['no project', 'gcp.sh', ACCOUNT, '--project'],
  ['an account that is none', 'gcp.sh', ['--project', 'p', '--region', 'r', '--aws-account', 'mine'], '12 digits'],
  [
    'a stage too long for Google',
    'gcp.sh',
    ['--project', 'p', '--region', 'r', '--aws-account', '123456789012', '--stage', 'a'.repeat(19)],
    '18 characters',
  ],
  ['what it does not know', 'azure.sh', ['--what'], 'Unknown: --what'],
  ['no image', 'azure.sh', azure.slice(0, 4), '--image'],
])('refuses %s before anything is asked', async ([, script, argv, words]) => {
  const { folder } = prepare();
  const { code, err, asked } = await run(script, folder, argv);
  expect(code).toBe(1);
  expect(err).toContain(words);
  expect(asked).toEqual(['']);
});
