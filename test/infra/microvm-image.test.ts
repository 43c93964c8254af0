import { execFile, execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { parseTargets } from '../../shared/providers/targets.ts';
import { faultOf } from '../support/clouds/lambda-microvms/model.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/**
 * Stands for AWS's command line: writes down what it is asked, keeps what is put into a bucket, and knows an image from
 * the moment that it was made. It refuses the first tries to make one, as long as the file `refusals` has lines.
 */
const CLI = `#!/bin/bash
here=$(dirname "$0")
printf '%s\\0' "$@" >>"$here/asked"; printf '\\n' >>"$here/asked"
case " $* " in
  *" get-caller-identity "*) echo 123456789012 ;;
  *" s3 cp "*) cp "$7" "$here/artifact.zip" ;;
  *" get-role "*) [ -f "$here/made" ] || exit 254 ;;
  *" get-microvm-image "*) [ -f "$here/made" ] && cat "$here/made" || exit 254 ;;
  *"-microvm-image "*)
    if [ -s "$here/refusals" ]; then sed -i 1d "$here/refusals"; echo 'The role cannot be assumed' >&2; exit 254; fi
    echo "\${STATE:-CREATED}" >"$here/made"; echo 1.0 ;;
esac
exit 0
`;

const REGISTER = fileURLToPath(new URL('../../infra/microvm-image/register.sh', import.meta.url));
const ARGV = ['--region', 'eu-west-1', '--bucket', 'a-bucket'];

const prepare = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'errand-test-'));
  folders.push(folder);
  writeFileSync(join(folder, 'aws'), CLI);
  chmodSync(join(folder, 'aws'), 0o755);
  return folder;
};

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** What the command line was asked: a list of arguments each. */
  readonly asked: readonly (readonly string[])[];
}

const run = (folder: string, argv: readonly string[] = ARGV, env: Record<string, string> = {}): Promise<Ran> =>
  new Promise((resolve) => {
    const PATH = `${folder}${delimiter}${process.env['PATH']}`;
    rmSync(join(folder, 'asked'), { force: true });
    const own = { ...process.env, REGISTER_WAIT_SECONDS: '0', ...env, PATH };
    execFile(REGISTER, argv, { env: own }, (error, out, err) => {
      const text = existsSync(join(folder, 'asked')) ? readFileSync(join(folder, 'asked'), 'utf8') : '';
      const asked = text
        .split('\0\n')
        .filter(Boolean)
        .map((line) => line.split('\0'));
      resolve({ code: Number(error?.code ?? 0), out, err, asked });
    });
  });

const optionOf = (argv: readonly string[] | undefined, option: string): string =>
  argv?.[argv.indexOf(option) + 1] ?? '';
const making = ({ asked }: Ran) => asked.filter((argv) => /^(create|update)-microvm-image$/.test(argv[5] ?? ''));

const missing = ['zip', 'unzip'].filter((tool) => spawnSync(tool, ['-v']).error);
const needs = missing.length > 0 ? ` (needs ${missing.join(', ')})` : '';

describe.skipIf(missing.length > 0)(`the registration of the MicroVM image${needs}`, () => {
  test('prints a target that the deployment takes', async () => {
    const { code, out } = await run(prepare());
    expect(code).toBe(0);
    expect(parseTargets(`{"targets":[${out}]}`).targets[0]?.config).toEqual({
      region: 'eu-west-1',
      image: 'arn:aws:lambda:eu-west-1:123456789012:microvm-image:errand',
    });
  });

  test('asks for an image as the service’s model has it, with the hooks that the keeper answers', async () => {
    const [create] = making(await run(prepare(), [...ARGV, '--memory', '4096']));
    const hooks = JSON.parse(optionOf(create, '--hooks'));
    expect(hooks).toMatchObject({ port: 9_000, microvmHooks: { run: 'ENABLED', terminate: 'ENABLED' } });
    const request = {
      name: optionOf(create, '--name'),
      baseImageArn: optionOf(create, '--base-image-arn'),
      buildRoleArn: optionOf(create, '--build-role-arn'),
      codeArtifact: { uri: optionOf(create, '--code-artifact').replace(/^uri=/, '') },
      cpuConfigurations: [{ architecture: optionOf(create, '--cpu-configurations').replace(/^architecture=/, '') }],
      resources: [{ minimumMemoryInMiB: Number(optionOf(create, '--resources').replace(/^minimumMemoryInMiB=/, '')) }],
      hooks,
      clientToken: optionOf(create, '--client-token'),
    };
    expect(faultOf('CreateMicrovmImageRequest', request, '')).toBeUndefined();
    expect(request.resources).toEqual([{ minimumMemoryInMiB: 4_096 }]);
  });

  test('its role may be taken on by Lambda for this account, and read this image’s objects alone', async () => {
    const { asked } = await run(prepare());
    const role = asked.find((argv) => argv.includes('create-role'));
    const trust = JSON.parse(optionOf(role, '--assume-role-policy-document'));
    expect(trust.Statement[0]).toMatchObject({
      Principal: { Service: 'lambda.amazonaws.com' },
      Condition: { StringEquals: { 'aws:SourceAccount': '123456789012' } },
    });
    const policy = JSON.parse(
      optionOf(
        asked.find((argv) => argv.includes('put-role-policy')),
        '--policy-document',
      ),
    );
    expect(policy.Statement.map(({ Action, Resource }: Record<string, unknown>) => [Action, Resource])).toEqual([
      ['s3:GetObject', 'arn:aws:s3:::a-bucket/microvm-images/errand-*'],
      [
        ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'],
        'arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/microvms/errand*',
      ],
    ]);
  });

  test('packs what the Dockerfile names: the keeper, and the runner and its helper beside it', async () => {
    const folder = prepare();
    await run(folder);
    const image = join(folder, 'image');
    execFileSync('unzip', ['-q', join(folder, 'artifact.zip'), '-d', image]);
    const dockerfile = readFileSync(join(image, 'Dockerfile'), 'utf8');
    const command: string[] = JSON.parse(/^CMD (.*)$/m.exec(dockerfile)?.[1] ?? '[]');
    expect(/^COPY (\S+) (\S+)$/m.exec(dockerfile)?.slice(1)).toEqual(['errand', '/errand']);
    expect(existsSync(join(image, command[1] ?? ''))).toBe(true);
    expect(readdirSync(join(image, 'errand'))).toEqual(
      expect.arrayContaining(['keeper.mjs', 'runner.mjs', 'helper.mjs']),
    );
    expect(
      readdirSync(join(image, 'errand'), { recursive: true }).filter((one) => String(one).endsWith('.map')),
    ).toEqual([]);
  });

  test('twice is a new version of the image, from the same object, and prints the same', async () => {
    const folder = prepare();
    const first = await run(folder);
    const second = await run(folder);
    expect([making(first)[0]?.[5], making(second)[0]?.[5]]).toEqual(['create-microvm-image', 'update-microvm-image']);
    expect(second.asked.some((argv) => argv.includes('create-role'))).toBe(false);
    expect(optionOf(making(second)[0], '--client-token')).toBe(optionOf(making(first)[0], '--client-token'));
    expect(second.out).toBe(first.out);
  });

  test('another Dockerfile, or another size, is another object', async () => {
    const folder = prepare();
    const tokenOf = async (...more: string[]) =>
      optionOf(making(await run(folder, [...ARGV, ...more]))[0], '--client-token');
    const own = join(folder, 'Dockerfile');
    copyFileSync(fileURLToPath(new URL('../../infra/microvm-image/Dockerfile', import.meta.url)), own);
    const same = await tokenOf();
    expect(await tokenOf('--dockerfile', own)).toBe(same);
    writeFileSync(own, `${readFileSync(own, 'utf8')}RUN dnf install -y git\n`);
    expect(await tokenOf('--dockerfile', own)).not.toBe(same);
    expect(await tokenOf('--memory', '512')).not.toBe(same);
  });

  test('waits for a role that is not known yet', async () => {
    const folder = prepare();
    writeFileSync(join(folder, 'refusals'), 'one\ntwo\n');
    const ran = await run(folder);
    expect([ran.code, making(ran).length]).toEqual([0, 3]);
  });

  test('an image that cannot be built, and one that is not taken, say where to look', async () => {
    const failed = await run(prepare(), ARGV, { STATE: 'CREATE_FAILED' });
    expect([failed.code, failed.out]).toEqual([1, '']);
    expect(failed.err).toContain('/aws/lambda/microvms/errand');
    const folder = prepare();
    writeFileSync(join(folder, 'refusals'), 'no\n'.repeat(10));
    const refused = await run(folder);
    expect([refused.code, making(refused).length]).toEqual([1, 6]);
    expect(refused.err).toContain('The role cannot be assumed');
  });

  test.for<[string, readonly string[], string]>([
    ['no region', ['--bucket', 'b'], '--region'],
    ['no bucket', ['--region', 'eu-west-1'], '--bucket'],
    ['a size that there is not', [...ARGV, '--memory', '3000'], '8192 MiB'],
    ['a name that is none', [...ARGV, '--name', 'a b'], 'letters, digits'],
    ['a Dockerfile that is not there', [...ARGV, '--dockerfile', '/no/such/file'], '/no/such/file'],
    ['what it does not know', ['--what'], 'Unknown: --what'],
  ])('refuses %s before anything is asked', async ([, argv, words]) => {
    const { code, err, asked } = await run(prepare(), argv);
    expect(code).toBe(1);
    expect(err).toContain(words);
    expect(asked).toEqual([]);
  });
});
