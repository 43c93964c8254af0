import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { beforeAll, describe, expect, test } from 'vitest';
import { startServer } from '../support/cli.ts';
import { sharedDirectory } from '../support/temp-directory.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

/** The ts examples of a page, and what each says that it prints: the words of its comments, in their order. */
const examplesOf = (page: string) =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/```ts\n(import .*?)```/gs)].map(([, code = '']) => ({
    code,
    says: [...code.matchAll(/console\.log\(.*?\); \/\/ (.*)$/gm)].map(([, words = '']) => words),
  }));

const examples = examplesOf('docs/sdk.md');

describe('the package of the client', () => {
  const directory = sharedDirectory();
  const project = join(directory, 'project');
  const packed = join(directory, 'errand-sdk');

  beforeAll(async () => {
    await run(process.execPath, [join(root, 'clients/sdk/pack.mjs'), packed]);
    // Installed as npm would: what was packed and nothing else, beside the packages that it names.
    mkdirSync(join(project, 'node_modules/@types'), { recursive: true });
    const { stdout } = await run('npm', ['pack', packed, '--json', '--pack-destination', directory]);
    const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
    await run('tar', ['xzf', join(directory, filename), '-C', join(project, 'node_modules')]);
    await run('mv', [join(project, 'node_modules/package'), join(project, 'node_modules/errand-sdk')]);
    for (const name of ['eventsource-parser', 'ws', 'zod', '@types/node', 'undici-types'])
      symlinkSync(join(root, 'node_modules', name), join(project, 'node_modules', name));
    writeFileSync(join(project, 'package.json'), '{"type":"module"}');
    for (const [n, { code }] of examples.entries()) writeFileSync(join(project, `example-${n}.ts`), code);
  });

  test('is what publint asks of a package', async () => {
    const { messages, pkg } = await publint({ pkgDir: packed, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  test('runs where there is no Node: it asks for nothing but its own dependencies', () => {
    const code = readFileSync(join(packed, 'dist/index.js'), 'utf8');
    expect([...code.matchAll(/from "(.*?)"/g)].map(([, name]) => name)).toEqual(['eventsource-parser']);
    expect(code).not.toMatch(/\b(process|require)\b[.(]/);
  });

  test('gives its examples their types', async () => {
    const options = { strict: true, noEmit: true, target: 'ES2022', module: 'NodeNext', types: ['node'] };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['*.ts'] }));
    const { stdout } = await run(process.execPath, [tsc, '-p', project]).catch((error: { stdout: string }) => error);
    expect(stdout).toBe('');
  });

  test.each(examples.map(({ says }, n) => ({ n, says })))('example $n prints what it says', async ({ n, says }) => {
    const { url } = await startServer();
    const env = { PATH: process.env['PATH'], ERRAND_URL: url };
    const { stdout } = await run(process.execPath, [`example-${n}.ts`], { cwd: project, env });
    for (const words of says) expect(stdout.replaceAll('\n', ' ')).toContain(words.replace(/ …$/, ''));
  });
});
