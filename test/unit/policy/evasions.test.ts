// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are for a shell
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Policy } from '../../../shared/domain/policy.ts';
import { decide } from '../../../shared/policy/decide.ts';
import { readCommand } from '../../../shared/policy/reading.ts';
import { FACTS } from './facts.ts';

/*
 * Ways to run `evil` that do not look like it. Each is first run by a real shell, where it must run `evil`: an evasion that does nothing
 * proves nothing. Then both kinds of policy have to refuse it: one that lets in a few programs, and one that keeps `evil` out.
 */

const SHELLS = ['/bin/sh', '/bin/bash'].filter((shell) => existsSync(shell));
const TOOLS = [
  'env',
  'xargs',
  'find',
  'nice',
  'nohup',
  'timeout',
  'setsid',
  'stdbuf',
  'time',
  'cat',
  'printf',
  'sh',
  'bash',
  'tr',
  'busybox',
];

/** Allows tools that run others, so that it is those others that must be refused. */
const FEW: Policy = {
  default: 'deny',
  rules: [{ name: 'tools', effect: 'allow', programs: [...TOOLS, 'good', 'echo', '>', '<'] }],
};
const ALL_BUT: Policy = { default: 'allow', rules: [{ name: 'no-evil', effect: 'deny', programs: ['evil'] }] };

let place: string;
let count = 0;

beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'errand-test-'));
  mkdirSync(join(place, 'bin'));
  for (const name of ['evil', 'good', 'p1', 'p2', 'p3']) {
    writeFileSync(join(place, 'bin', name), `#!/bin/sh\necho ${name} >> "\${LOG:-${join(place, 'log')}}"\n`);
    chmodSync(join(place, 'bin', name), 0o755);
  }
  for (const tool of TOOLS) {
    const path = ['/bin', '/usr/bin'].map((folder) => join(folder, tool)).find((one) => existsSync(one));
    if (path) symlinkSync(path, join(place, 'bin', tool));
  }
});
afterAll(() => rmSync(place, { recursive: true }));

/** What of our own programs a command really runs. */
const runs = (argv: readonly string[], env: Record<string, string> = {}): readonly string[] => {
  // A log of its own, as what a shell left behind may still write to an earlier one.
  const own = join(place, `log-${++count}`);
  const logs = [own, join(place, 'log')];
  rmSync(join(place, 'log'), { force: true });
  const [program = '', ...args] = argv;
  try {
    execFileSync(program, args, {
      cwd: place,
      env: { PATH: join(place, 'bin'), LOG: own, ...env },
      input: '',
      stdio: ['pipe', 'ignore', 'ignore'],
      timeout: 5_000,
    });
  } catch {
    // How it ends is its own matter.
  }
  return logs.filter((log) => existsSync(log)).flatMap((log) => readFileSync(log, 'utf8').trim().split('\n'));
};

const judge = (policy: Policy, command: Parameters<typeof readCommand>[0]) =>
  decide(policy, FACTS, readCommand(command)).effect;

/** Of POSIX shells, then of bash. `HERE` stands for a folder in which `evil` lies. */
const SCRIPTS: readonly string[] = [
  'evil',
  'good; evil',
  'good\nevil',
  'good && evil',
  'false || evil',
  'good | evil',
  'good & evil',
  '! evil',
  '(evil)',
  '{ evil; }',
  'if true; then evil; fi',
  'if evil; then :; fi',
  'if false; then :; else evil; fi',
  'if false; then :; elif evil; then :; fi',
  'while evil; do break; done',
  'until evil; do break; done',
  'for i in 1; do evil; done',
  'case a in a) evil;; esac',
  'case $(evil) in *) :;; esac',
  'case a in $(evil)) :;; *) :;; esac',
  'f() { evil; }; f',
  'f() ( evil ); f',
  'good() { evil; }; good',
  'echo() { evil; }; echo',
  'echo $(evil)',
  'echo `evil`',
  'echo "$(evil)"',
  'echo "`evil`"',
  'echo `echo \\`evil\\``',
  'echo $(echo $(evil))',
  'x=$(evil)',
  'x=$(evil) good',
  'export X=$(evil)',
  'echo ${x:-$(evil)}',
  'echo "${x:-$(evil)}"',
  'x=1; echo ${x#$(evil)}',
  'echo $(( $(evil; echo 1) + 1 ))',
  'cat <<E\n$(evil)\nE',
  'cat <<E\n`evil`\nE',
  'good > $(evil; echo out)',
  'good < $(evil; echo /dev/null)',
  'for i in $(evil); do :; done',
  'e\\vil',
  'e""vil',
  "e''vil",
  '"evil"',
  "'evil'",
  "e'vi'l",
  'ev\\\nil',
  'x=evil; $x',
  'x=evil; ${x}',
  'x=evil; "$x"',
  'x=ev; ${x}il',
  'x=il; ev$x',
  '$(echo evil)',
  '`echo evil`',
  '${x:-evil}',
  'set -- evil; "$@"',
  'set -- evil; $1',
  'set -- evil; $*',
  'for x in evil; do $x; done',
  'echo evil | { read -r x; $x; }',
  '$(printf "\\145vil")',
  '$(echo livE | tr EI ei | sh -c "cat >/dev/null; echo evil")',
  'HERE/evil',
  './bin/evil',
  'bin/../bin/evil',
  'HERE/ev?l',
  'HERE/[e]vil',
  'HERE/ev*',
  'cd bin && ./evil',
  'PATH=HERE evil',
  'PATH=HERE; evil',
  'export PATH=HERE; evil',
  'eval evil',
  'eval "evil"',
  'eval e"v"il',
  'eval "ev""il"',
  'eval "x=evil; \\$x"',
  'x=evil; eval $x',
  'eval eval evil',
  'command evil',
  'command -p HERE/evil',
  'exec evil',
  '(exec evil)',
  'trap evil EXIT',
  'trap "ev""il" 0',
  'env evil',
  'env -i HERE/evil',
  'env X=1 evil',
  'env -u X evil',
  'env -S "evil"',
  'env -- evil',
  'env env evil',
  'nice evil',
  'nice -n 5 evil',
  'nice -5 evil',
  'nohup evil',
  'timeout 5 evil',
  'timeout -s KILL 5 evil',
  'timeout -k 1 5 evil',
  'timeout --signal=KILL 5 evil',
  'setsid -w evil',
  'stdbuf -o0 evil',
  'echo evil | xargs env',
  'echo x | xargs evil',
  'echo x | xargs -n 1 evil',
  'echo x | xargs -I{} evil {}',
  'echo evil | xargs -I X env X',
  'echo evil | xargs -I X sh -c X',
  'find . -maxdepth 0 -exec evil {} \\;',
  'find . -maxdepth 0 -exec evil {} +',
  'find bin -name evil -exec {} \\;',
  'find . -maxdepth 0 -execdir HERE/evil \\;',
  'find . -maxdepth 0 -exec sh -c evil \\;',
  'x=-exec; find . -maxdepth 0 $x evil \\;',
  'sh -c evil',
  'sh -ec evil',
  'sh -c "ev""il"',
  'sh -c -- evil',
  "sh -c 'sh -c evil'",
  "sh -c '$0' evil",
  'sh -c \'"$@"\' x evil',
  'echo evil | sh',
  'echo evil | sh -s',
  'sh <<E\nevil\nE',
  'sh HERE/evil',
  '. HERE/evil',
  'echo evil > f; sh f',
  'echo evil > f; . ./f',
  'sh -o errexit -c evil',
  'x=-c; sh $x evil',
  'time evil',
  'true && { { ( evil ); }; }',
  'f() { good; }; f2() { evil; }; f; f2',
  'good # comment\nevil',
  'good \\# not a comment; evil',
  'echo "#"; evil',
  "echo '\n'; evil",
  "cat <<'E'\n$(good)\nE\nevil",
  'cat <<-E\n\tx\n\tE\nevil',
  'cat <<A <<B\na\nA\nb\nB\nevil',
  'if true; then\nevil\nfi',
  '{\nevil\n}',
  'good |\nevil',
  'good &&\nevil',
  ': ${x:=$(evil)}',
  ': "${PATH:+$(evil)}"',
  'readonly x=$(evil)',
  'umask 022; evil',
  'test $(evil; echo 1) = 1',
  '[ "`evil`" ]',
  'x="$(evil)" y=1 :',
  'good >/dev/null 2>&1 || :; evil',
  'busybox env evil',
  'busybox sh -c evil',
  '>out evil',
  '2>/dev/null evil',
  '</dev/null evil',
  'X=1 evil',
  'X=1 Y=2 >out evil',
];
/** Bash expands these only when it is asked to. */
const OF_DASH: readonly string[] = ['alias good=evil\ngood', 'alias x=evil\neval x'];
const OF_BASH: readonly string[] = [
  '((evil)); evil',
  'x[$(evil)]=1',
  'x="a[\\$(evil)]"; echo $((x))',
  'x="a[\\$(evil)]"; ((x))',
  'x="a[\\$(evil)]"; [[ $x -eq 1 ]]',
  'x="a[\\$(evil)]"; echo ${!x}',
  'x="a[\\$(evil)]"; test -v "$x"',
  'x="a[\\$(evil)]"; o=-v; [ $o "$x" ]',
  'x="a[\\$(evil)]"; printf -v "$x" 1',
  'x="a[\\$(evil)]"; read "$x" <<< 1',
  'x="a[\\$(evil)]"; let x',
  'x="a[\\$(evil)]"; declare -i y=x',
  'x="a[\\$(evil)]"; y=abc; echo ${y:x}',
  'x="\\$(evil)"; echo "${x@P}"',
  "$'\\x65vil'",
  "$'ev'il",
  '$"evil"',
  '{evil,x}',
  '{ev,}il; evil',
  'evil <(good)',
  'good <(evil); wait $!',
  'good >(evil); wait $!',
  'good |& evil',
  'good &> out; evil',
  'cat <<< $(evil)',
  '[[ $(evil) ]]',
  '[[ -n `evil` ]]',
  'function f { evil; }; f',
  'function good { evil; }; good',
  'coproc evil; wait',
  'select x in 1; do :; done <<< 1; evil',
  'a=($(evil))',
  'a=(evil); ${a[0]}',
  'a=(evil); "${a[@]}"',
  'a+=$(evil)',
  'for ((i=0; i<1; i++)); do evil; done',
  'builtin eval evil',
  'builtin command evil',
  'source HERE/evil',
  'hash -p HERE/evil good; good',
  'BASH_CMDS[good]=HERE/evil; good',
  'mapfile -C evil -c 1 x <<< 1',
  'shopt -s expand_aliases\nalias good=evil\ngood',
  "PS4='$(evil)'; set -x; good",
  'trap evil DEBUG; good',
  'trap evil ERR; false',
  'exec -a good evil',
  'enable -n echo; evil',
  'case a in a) ;& b) evil;; esac',
  'bash -O extglob -c evil',
  'bash --rcfile x -c evil',
  'set -o posix; evil',
  'declare -n r=PATH; r=HERE; evil',
  'printf -v PATH HERE; evil',
  'read PATH <<< HERE; evil',
  'for PATH in HERE; do evil; done',
  'export -f x; evil',
];

const here = (script: string) => script.replaceAll('HERE', join(place, 'bin'));

describe.for(SHELLS)('in %s', (shell) => {
  const kind = basename(realpathSync(shell));
  const scripts = [
    ...SCRIPTS,
    ...(kind === 'bash' && shell.endsWith('bash') ? OF_BASH : []),
    ...(kind === 'dash' ? OF_DASH : []),
  ];
  const needsTool = (script: string) =>
    TOOLS.some((tool) => script.includes(tool) && !existsSync(`/bin/${tool}`) && !existsSync(`/usr/bin/${tool}`));

  test.for(scripts.filter((script) => !needsTool(script)))('%s', (text) => {
    const script = here(text);
    expect(runs([shell, '-c', script])).toContain('evil');
    const command = { script, shell, env: {} };
    expect([judge(FEW, command), judge(ALL_BUT, command)]).toEqual(['deny', 'deny']);
    // Wrapped once more, and by argv.
    const wrapped = { argv: ['timeout', '9', 'sh', '-c', script] as const, shell: '/bin/sh', env: {} };
    expect(judge(FEW, wrapped)).toBe('deny');
  });
});

describe('by argv', () => {
  test.for<[argv: [string, ...string[]], env: Record<string, string>]>([
    [['evil'], {}],
    [['HERE/evil'], {}],
    [['env', 'evil'], {}],
    [['/usr/bin/env', '-i', 'HERE/evil'], {}],
    [['env', '-S', 'evil'], {}],
    [['sh', '-c', 'evil'], {}],
    [['sh', 'HERE/evil'], {}],
    [['xargs', '-a', '/etc/hostname', 'evil'], {}],
    [['find', '.', '-maxdepth', '0', '-exec', 'evil', ';'], {}],
    [['timeout', '5', 'nice', 'nohup', 'evil'], {}],
    [['HERE/../bin/evil'], {}],
    [['env', 'PATH=HERE', 'evil'], {}],
  ])('%j %j', ([argv, env]) => {
    const [program, ...args] = argv.map(here) as [string, ...string[]];
    expect(runs(['/usr/bin/env', program, ...args], env)).toContain('evil');
    const command = { argv: [program, ...args] as const, shell: '/bin/sh', env };
    expect([judge(FEW, command), judge(ALL_BUT, command)]).toEqual(['deny', 'deny']);
  });

  test.for(['PATH', 'LD_PRELOAD', 'BASH_ENV', 'GIT_SSH_COMMAND', 'NODE_OPTIONS', 'PYTHONSTARTUP', 'GCONV_PATH'])(
    'with %s in its environment, or as a secret, it cannot be told what even an allowed program runs',
    (name) => {
      const argv = ['good'] as const;
      expect(judge(FEW, { argv, shell: '/bin/sh', env: {} })).toBe('allow');
      expect(judge(FEW, { argv, shell: '/bin/sh', env: { [name]: '/x' } })).toBe('deny');
      expect(judge(FEW, { argv, shell: '/bin/sh', env: {}, secrets: { [name]: 'secret:x' } })).toBe('deny');
    },
  );

  test('a program of an allowed name in a folder of one’s own is not that program', () => {
    for (const program of [
      '/tmp/good',
      './good',
      'bin/good',
      '/usr/bin/../../tmp/good',
      '/usr/bin//good',
      '/usr/bin/x/good',
    ]) {
      expect([program, judge(FEW, { argv: [program], shell: '/bin/sh', env: {} })]).toEqual([program, 'deny']);
    }
    for (const program of ['/usr/bin/good', '/bin/good', '/usr/local/bin/good']) {
      expect([program, judge(FEW, { argv: [program], shell: '/bin/sh', env: {} })]).toEqual([program, 'allow']);
    }
  });

  test.for(['/bin/zsh', '/usr/bin/python3', '/tmp/sh', 'fish', '/bin/../tmp/sh'])(
    'a script for %s is not read',
    (shell) => {
      expect(judge(FEW, { script: 'good', shell, env: {} })).toBe('deny');
      expect(judge(ALL_BUT, { script: 'good', shell, env: {} })).toBe('deny');
    },
  );

  test('what is no script, too deep or too long is not read', () => {
    const deep = Array.from({ length: 12 }).reduce(
      (text: string) => `sh -c '${text.replaceAll("'", `'\\''`)}'`,
      'good',
    );
    for (const script of [
      'if',
      'good; )',
      'good "',
      '$(',
      'good\r\n',
      'good \u001b[2J',
      deep.slice(0, 100_000),
      'good;'.repeat(5_000),
      '$('.repeat(499),
      '$('.repeat(50_000),
      '"$('.repeat(400),
      '${a:-'.repeat(20_000),
      '`'.repeat(90_000),
    ]) {
      expect([script.slice(0, 20), judge(FEW, { script, shell: '/bin/sh', env: {} })]).toEqual([
        script.slice(0, 20),
        'deny',
      ]);
    }
  });
});

describe('what people write is read', () => {
  test.for([
    'good',
    'set -eu; good "$X" *.txt',
    'for f in a b; do good "$f"; done',
    'if [ "$X" = y ] && [ -f x ]; then good; else echo no >&2; fi',
    '[ $# -gt 0 ] || exit 1',
    'while read -r line; do echo "$line"; done < list',
    'cat <<E | good > out\n$X ${Y:-z} ${Z%.txt}\nE',
    'trap "good" EXIT; cd /tmp',
    'export A="$B" C=d; good',
    'find . -name "*.log" -exec good {} \\;',
    'xargs -0 good < files',
    '(good; good) || { good; }',
    'X=1 good >/dev/null 2>&1',
    'case $X in a|b) good;; *) echo;; esac',
    'i=$((1 + 2)); good',
  ])('%s', (script) => {
    expect(readCommand({ script, shell: '/bin/sh', env: {} }).unreadable).toEqual([]);
    expect(judge(FEW, { script, shell: '/bin/sh', env: {} })).toBe('allow');
  });
});

describe('no script that real shells run runs a program that was not read', () => {
  // A function is named by its length, so that none calls itself: in a pipe that would not end.
  const name = fc.constantFrom('p1', 'p2', 'p3', 'good');
  const word = fc.oneof(
    { weight: 6, arbitrary: name },
    name.map((one) => `"${one}"`),
    name.map((one) => `${one[0]}''${one.slice(1)}`),
    name.map((one) => `\\${one}`),
    fc.constantFrom('$X', '"$X"', '${Y:-p2}', '$(echo p3)', '`echo p1`', "$'p1'", '{p1,p2}', 'p[1]', 'x', ''),
  );
  const { script } = fc.letrec<{ script: string; command: string }>((tie) => ({
    command: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      {
        weight: 5,
        arbitrary: fc
          .tuple(word, fc.array(word, { maxLength: 2 }))
          .map(([program, args]) => [program, ...args].join(' ')),
      },
      fc
        .tuple(
          fc.constantFrom(
            'env',
            'nice',
            'timeout 5',
            'eval',
            'command',
            'exec',
            'echo p1 | xargs',
            'time',
            '!',
            'X=p2',
            '>out',
            'trap "p3" EXIT;',
          ),
          word,
        )
        .map((all) => all.join(' ')),
      tie('script').map((inner) => `( ${inner} )`),
      tie('script').map((inner) => `{ ${inner}; }`),
      tie('script').map((inner) => `echo "$(${inner})"`),
      tie('script').map((inner) => `f${inner.length}() { ${inner}; }; f${inner.length}`),
      tie('script').map((inner) => `sh -c '${inner.replaceAll("'", `'\\''`)}'`),
      fc.tuple(tie('script'), tie('script')).map(([a, b]) => `if ${a}; then ${b}; fi`),
      fc.tuple(word, tie('script')).map(([a, b]) => `for X in ${a}; do ${b}; done`),
      fc.tuple(word, tie('script')).map(([a, b]) => `case ${a} in *) ${b};; esac`),
      tie('script').map((inner) => `cat <<E\n$(${inner})\nE\n:`),
    ),
    script: fc
      .tuple(
        tie('command'),
        fc.array(fc.tuple(fc.constantFrom('; ', ' && ', ' || ', ' | ', '\n', ' # '), tie('command')), { maxLength: 2 }),
      )
      .map(([first, rest]) => first + rest.flat().join('')),
  }));

  test.for(SHELLS)('%s', async (shell) => {
    await fc.assert(
      fc.property(script, (text) => {
        const reading = readCommand({ script: text, shell, env: {} });
        if (reading.unreadable.length > 0) return;
        const read = new Set(reading.invocations.map(({ program }) => program));
        expect(runs([shell, '-c', text], { X: 'p1' }).filter((one) => !read.has(one))).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
