import { expect, test } from 'vitest';
import { checksText, reportText } from '../../../clients/cli/isolation-report.ts';
import type { Terminal } from '../../../clients/cli/terminal.ts';
import type { Finding, Outcome } from '../../../shared/isolation/judge.ts';
import { summarize } from '../../../shared/isolation/judge.ts';

const terminal = (env: Record<string, string>, isTTY: boolean) => ({ env, stdout: { isTTY } }) as unknown as Terminal;
const finding = (name: string, group: string, outcome: Outcome, detail: string): Finding => ({
  ...{ name, group, outcome, detail },
  severity: 'host-leak',
  tries: `try ${name}`,
});
const report = summarize(
  true,
  new Map([
    [
      'sandbox',
      [
        finding('read-data', 'files', 'held', 'No such file'),
        finding('trace', 'processes', 'hit', 'traced\u001b[2J'),
        finding('raw-disk', 'files', 'unproven', 'without walls: none opens'),
        finding('bpf', 'kernel', 'broken', 'It did not begin'),
      ],
    ],
  ]),
);

test('a report without colours is a table for each group, with a line that sums it up', () => {
  expect(reportText(terminal({ NO_COLOR: '1' }, true), report)).toBe(
    `Isolation sandbox: a private root, no network of the host, no other processes, a filter of system calls (server of root)

files
RESULT            PROBE      TRIES TO       DETAIL
✓ held            read-data  try read-data  No such file
– proves nothing  raw-disk   try raw-disk   without walls: none opens

processes
RESULT  PROBE  TRIES TO   DETAIL
✗ HIT   trace  try trace  host-leak: traced\\u001b[2J

kernel
RESULT    PROBE  TRIES TO  DETAIL
! broken  bpf    try bpf   It did not begin

sandbox: 1 hit, 1 held, 1 proves nothing here, 1 broken, so that nothing is known of them
`,
  );
});

test.for([
  [{}, true, true],
  [{}, false, false],
  [{ NO_COLOR: '1' }, true, false],
  [{ TERM: 'dumb' }, true, false],
] as const)('with %j on a terminal: %s, colours are used: %s', ([env, isTTY, coloured]) => {
  expect(reportText(terminal(env, isTTY), report).includes('\u001b[31m')).toBe(coloured);
});

test('what a machine lacks comes with what to do', () => {
  const text = checksText(terminal({}, false), [
    { name: 'seccomp', status: 'ok', found: 'filters can be loaded' },
    { name: 'launcher', status: 'missing', found: 'none', fix: 'Build it.' },
  ]);
  expect(text).toBe(`   CHECK     FOUND
✓  seccomp   filters can be loaded
✗  launcher  none

What to do:
  launcher: Build it.
`);
});
