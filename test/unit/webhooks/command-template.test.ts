import { describe, expect, test } from 'vitest';
import type { SubmitCommand } from '../../../shared/contract/schemas.ts';
import type { Delivered } from '../../../shared/domain/placeholders.ts';
import { faultsOfTemplate, renderCommand } from '../../../shared/webhooks/command-template.ts';

const faults = (command: SubmitCommand) => faultsOfTemplate(command).map(({ pointer }) => pointer);
const X = '{{ body.x }}';

describe('values may stand', () => {
  test.for<SubmitCommand>([
    { argv: ['deploy', X] },
    { argv: ['deploy', `--ref=${X}`] },
    { argv: ['deploy', '--', X] },
    { argv: ['env', 'deploy', X] },
    { argv: ['timeout', '5', 'deploy', X] },
    { argv: ['sh', '-c', 'echo "$1"', 'sh', X] },
    { argv: ['bash', '-euo', 'pipefail', '-c', 'echo "$1"', 'bash', X] },
    { argv: ['sudo', '-u', 'app', 'sh', '-c', 'echo "$1"', 'sh', X] },
    { argv: ['docker', 'exec', 'app', 'sh', '-c', 'echo "$1"', 'sh', X] },
    { argv: ['python3', 'deploy.py', X] },
    { argv: ['python3', '-c', 'import sys; print(sys.argv[1])', X] },
    { argv: ['node', '-e', 'console.log(process.argv[1])', X] },
    { argv: ['perl', '-ne', 'print', X] },
    { argv: ['sed', '-n', '1p', X] },
    { argv: ['grep', '-e', X] },
    { argv: ['git', '-c', `user.name=${X}`, 'commit'] },
    { argv: ['psql', '-v', `x=${X}`, '-c', 'select 1'] },
    { script: 'echo "$X"', env: { X } },
    { script: "docker inspect -f '{{.State}}' app" },
    { argv: ['docker', 'inspect', '-f', '{{ "{{" }}.State}}', X] },
    { argv: ['wc', '-c'], stdin: '{{ raw }}' },
    { argv: ['true'], env: { A: `a ${X} b` }, stdin: `${X}\n` },
  ])('in %j', (command) => {
    expect(faults(command)).toEqual([]);
  });
});

describe('values may not stand where they would be code, or say what is run', () => {
  test.for<[pointer: string, command: SubmitCommand]>([
    ['/argv/0', { argv: [X] }],
    ['/argv/0', { argv: [`/opt/${X}`, 'a'] }],
    ['/argv', { argv: ['sh', '-c', `echo ${X}`] }],
    ['/argv', { argv: ['sh', '-c', X] }],
    ['/argv', { argv: ['/bin/bash', '-lc', `echo ${X}`] }],
    ['/argv', { argv: ['bash', '-c', '--', `echo ${X}`] }],
    ['/argv', { argv: ['bash', '-o', 'pipefail', '-c', `echo ${X}`] }],
    ['/argv', { argv: ['bash', '-ex', '-c', `echo ${X}`] }],
    ['/argv', { argv: ['zsh', '-c', `echo ${X}`] }],
    ['/argv', { argv: ['sh', X] }],
    ['/argv', { argv: ['env', 'sh', '-c', `echo ${X}`] }],
    ['/argv', { argv: ['sudo', 'bash', '-c', `echo ${X}`] }],
    ['/argv', { argv: ['docker', 'exec', 'app', 'sh', '-c', `echo ${X}`] }],
    ['/argv', { argv: ['python3.13', '-c', `print("${X}")`] }],
    ['/argv', { argv: ['python3', `-cprint("${X}")`] }],
    ['/argv', { argv: ['node', '--eval', `console.log("${X}")`] }],
    ['/argv', { argv: ['perl', '-ne', `print "${X}"`] }],
    ['/argv', { argv: ['awk', `/${X}/ {print}`, 'file'] }],
    ['/argv', { argv: ['sed', '-i', `s/a/${X}/`, 'file'] }],
    ['/argv', { argv: ['psql', '-c', `select '${X}'`] }],
    ['/argv', { argv: ['ssh', 'host', 'deploy', X] }],
    ['/argv', { argv: ['eval', X] }],
    ['/argv', { argv: ['env', X] }],
    ['/argv', { argv: ['env', '-S', `sh -c ${X}`] }],
    ['/argv', { argv: ['sudo', X] }],
    ['/argv', { argv: ['timeout', '5', X] }],
    ['/argv', { argv: ['nohup', X, 'a'] }],
    ['/argv', { argv: ['find', '.', X] }],
    ['/argv', { argv: ['xargs', 'sh', '-c', `echo ${X}`] }],
    ['/env/PATH', { argv: ['true'], env: { PATH: `${X}:/bin` } }],
    ['/env/LD_PRELOAD', { argv: ['true'], env: { LD_PRELOAD: X } }],
    ['/env/BASH_ENV', { script: 'true', env: { BASH_ENV: X } }],
    ['/script', { script: `echo ${X}` }],
    ['/shell', { script: 'true', shell: `/bin/${X}` }],
    ['/cwd', { argv: ['true'], cwd: `/srv/${X}` }],
    ['/image', { argv: ['true'], image: `app:${X}` }],
    ['/target', { argv: ['true'], target: X }],
    ['/labels/a~1b', { argv: ['true'], labels: { 'a/b': X } }],
    ['/argv/1', { argv: ['true', '{{ bdy.x }}'] }],
    ['/env/A', { argv: ['true'], env: { A: '{{ body.x' } }],
    ['/stdin', { argv: ['true'], stdin: '{{ nope }}' }],
    ['/stdin', { argv: ['true'], stdin: 'open' }],
  ])('%s of %j', ([pointer, command]) => {
    expect(faults(command)).toEqual([pointer]);
  });
});

const delivered = (x: unknown): Delivered => ({
  body: { x },
  headers: {},
  event: undefined,
  delivery: undefined,
  raw: Buffer.from([0, 0xff, 10]),
});
const render = (command: SubmitCommand, x: unknown, dashes: 'refuse' | 'allow' = 'refuse') =>
  renderCommand(command, delivered(x), dashes);

describe('a command', () => {
  test('is what the template says, with each value within the place that it was given', () => {
    const x = '"; rm -rf / #\n$(id) `id` \' * ~ %s';
    const template = { argv: ['deploy', X, `--x=${X}`], env: { X, FIXED: 'a' }, stdin: X, labels: { a: 'b' } };
    expect(render(template, x)).toEqual({
      ok: true,
      command: {
        argv: ['deploy', x, `--x=${x}`],
        env: { X: x, FIXED: 'a' },
        stdinBase64: Buffer.from(x).toString('base64'),
        labels: { a: 'b' },
      },
    });
  });

  test('is given the body byte by byte, whatever it is', () => {
    const rendered = render({ argv: ['true'], stdin: ' {{raw}} ' }, 'a');
    expect(rendered).toMatchObject({ command: { stdinBase64: Buffer.from([0, 0xff, 10]).toString('base64') } });
  });

  test('never has its input left open by a value', () => {
    expect(render({ argv: ['true'], stdin: X }, 'open')).toMatchObject({ command: { stdinBase64: 'b3Blbg==' } });
  });

  test('keeps text that only looks like a template where none is', () => {
    const script = "docker inspect -f '{{.State}}' app";
    expect(render({ script }, 'a')).toEqual({ ok: true, command: { script } });
  });

  test.for<[what: string, command: SubmitCommand, x: unknown, reason: string]>([
    ['no value', { argv: ['a', X] }, undefined, 'missing-value'],
    ['a value that is null', { argv: ['a', X] }, null, 'missing-value'],
    ['a NUL in an argument', { argv: ['a', X] }, 'a\0b', 'invalid-command'],
    ['a NUL in a variable', { argv: ['a'], env: { X } }, 'a\0b', 'invalid-command'],
    ['half a character', { argv: ['a', X] }, '\ud800', 'invalid-command'],
    ['an argument that is too long', { argv: ['a', X] }, 'x'.repeat(130_049), 'invalid-command'],
    ['more than a command may be', { argv: ['a'], stdin: X }, 'x'.repeat(200_000), 'invalid-command'],
    ['a value that would be an option', { argv: ['rm', X] }, '-rf', 'leading-dash'],
    ['a dash by itself', { argv: ['cat', X] }, '-', 'leading-dash'],
    ['an option put together of two values', { argv: ['rm', `${X}${X}`] }, '-', 'leading-dash'],
    ['a dash that comes from a default', { argv: ['rm', '{{ body.y ?? "-f" }}'] }, '', 'leading-dash'],
  ])('is refused for %s', ([, command, x, reason]) => {
    const rendered = render(command, x);
    expect(rendered).toMatchObject({ ok: false, reason });
    if (!rendered.ok) expect(rendered.detail).not.toMatch(/xxxx|-rf/);
  });

  test('is refused for a value that is nested deeper than it can be written', () => {
    const deep = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
    expect(render({ argv: ['a', X] }, deep)).toMatchObject({ ok: false, reason: 'invalid-command' });
  });

  test('takes a dash behind --, behind text of the template, in a variable, and where it is allowed', () => {
    const taken = [
      render({ argv: ['rm', '--', X] }, '-rf'),
      render({ argv: ['deploy', `--ref=${X}`] }, '-rf'),
      render({ argv: ['a'], env: { X } }, '-rf'),
      render({ argv: ['rm', X] }, '-rf', 'allow'),
    ];
    expect(taken.map(({ ok }) => ok)).toEqual([true, true, true, true]);
  });
});
