import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/*
 * What the walls of a sandbox cost, as a share of R: how often a second C can vfork and exec /bin/true, on two
 * processes. R is taken before and after each row, since machines are shared and noisy; where they are, the share of
 * processor time is the one to trust, for many boxes get more of a busy core than two processes: `node bench/box.ts [rounds]`.
 * bubblewrap is here for comparison, with the same namespaces and root, started for each command as it would be.
 */
const ROUNDS = Number(process.argv[2] ?? 7);
const SECONDS = process.argv[3] ?? '0.8';
/** Of R: what sandboxed commands of 100 clients must reach; and how much slower one client may be with walls. */
const LEAST = 0.5;
const MOST_SLOWER = 2;

interface Row {
  perSecond: number;
  /** Processor time of a command with all that was done for it, kernel threads aside. */
  cpuUs: number;
  p50Ms: number;
  p99Ms: number;
  wrong: number;
}

const directory = mkdtempSync(join(tmpdir(), 'errand-bench-'));
const driver = join(directory, 'box');
execFileSync('make', ['-s', '-C', join(import.meta.dirname, '../launcher/box'), `OUT=${driver}`]);

const loop = (...options: string[]): Row => {
  const command = options.includes('--') ? [] : ['--', '/bin/true'];
  const output = execFileSync(driver, ['loop', '--seconds', SECONDS, ...options, ...command], { encoding: 'utf8' });
  const row: Row = JSON.parse(output);
  if (row.wrong > 0) throw new Error(`${row.wrong} commands went wrong: ${options.join(' ')}`);
  return row;
};

const reference = (): Row => loop('--plain', '--clients', '2');

const bubblewrap = [
  ...'--unshare-all --die-with-parent --new-session --clearenv --ro-bind /usr /usr --symlink usr/bin /bin'.split(' '),
  ...'--symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp --cap-drop ALL'.split(' '),
];
const hasBubblewrap = spawnSync('bwrap', [...bubblewrap, '/bin/true']).status === 0;

const contenders: Record<string, () => Row> = {
  'box, 100 clients': () => loop('--clients', '100', '--ready', '16', '--slots', '16'),
  'box, 100 clients, limits': () =>
    loop(
      '--clients',
      '100',
      '--ready',
      '16',
      '--slots',
      '16',
      '--memory',
      '268435456',
      '--processes',
      '64',
      '--cpu',
      '100',
    ),
  'box, 2 clients': () => loop('--clients', '2', '--ready', '16', '--slots', '16'),
  ...(hasBubblewrap && {
    'bubblewrap, 2 clients': () =>
      loop('--plain', '--clients', '2', '--', '/usr/bin/bwrap', ...bubblewrap, '/bin/true'),
  }),
};

const sorted = (values: number[]): number[] => values.toSorted((a, b) => a - b);
const middle = (values: number[]): number => sorted(values)[Math.floor(values.length / 2)] ?? Number.NaN;
const told = (values: number[], digits = 2): string => {
  const [first = Number.NaN] = sorted(values);
  return `${middle(values).toFixed(digits)} [${first.toFixed(digits)}..${(sorted(values).at(-1) ?? Number.NaN).toFixed(digits)}]`;
};

const shares = new Map<string, number[]>();
const costs = new Map<string, number[]>();
const rates = new Map<string, number[]>();
const alone: number[] = [];
const slower: number[] = [];
const references: number[] = [];
const push = (map: Map<string, number[]>, name: string, value: number) =>
  map.set(name, [...(map.get(name) ?? []), value]);

try {
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, contend] of Object.entries(contenders)) {
      const before = reference();
      const row = contend();
      const after = reference();
      references.push(before.perSecond, after.perSecond);
      push(shares, name, row.perSecond / ((before.perSecond + after.perSecond) / 2));
      push(costs, name, (before.cpuUs + after.cpuUs) / 2 / row.cpuUs);
      push(rates, name, row.perSecond);
    }
    const bare = loop('--plain', '--clients', '1');
    const boxed = loop('--clients', '1', '--ready', '8', '--slots', '8');
    alone.push(boxed.p50Ms);
    slower.push(boxed.p50Ms / bare.p50Ms);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

const lines = [`R: ${told(references, 0)} a second, ${ROUNDS} rounds`];
for (const [name, values] of shares) {
  const cost = told(costs.get(name) ?? []);
  lines.push(`${name}: ${told(values)} of R, ${cost} by processor time, ${told(rates.get(name) ?? [], 0)} a second`);
}
lines.push(`one client: p50 ${told(alone, 3)} ms, ${told(slower)} times that of no walls`);
process.stdout.write(`${lines.join('\n')}\n`);
const met = middle(costs.get('box, 100 clients') ?? []) >= LEAST && middle(slower) <= MOST_SLOWER;
process.stdout.write(
  `${met ? 'Within' : 'Beyond'} the bar: ${LEAST} of R at 100 clients by processor time, ${MOST_SLOWER} times at one.\n`,
);
process.exitCode = met ? 0 : 1;
