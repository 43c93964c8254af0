import { describe, expect, test } from 'vitest';
import { type Bar, judge, type Results } from '../../../bench/side-by-side/bars.ts';
import { aSample, someSamples } from './samples.ts';

const DURABLE = ['bullmq', 'pg-boss'];
const RATIO = [0.9, 0.91, 0.92];
const WHAT = {
  share: 'durable commands, 100 clients ≥ 0.9 R',
  errors: 'errors in all rows 0',
  oneClient: 'durable commands, one client: p50 ≤ webhook’s, which is not durable',
  tail: 'durable commands, 100 clients: p99 ≤ 2 × p50',
  scripts: 'scripts, 100 clients ≥ 2 × webhook',
  sandbox: 'sandboxed commands, 100 clients ≥ 0.5 R',
  sandboxOneClient: 'sandboxed commands, one client: p50 ≤ 2 × without',
  durable: 'durable commands, 100 clients ≥ 5 × the best durable peer',
  rest: 'memory at rest, all processes ≤ 120 MB',
  growth: 'memory over 100,000 commands no growth (≤ 10 MB)',
  output: '1 GB of one command, to a live reader ≥ 200 MB/s',
  outputMemory: 'the same: memory flat (≤ 64 MB more in its second half)',
};

const judged = (what: string, results: Partial<Results>): Pick<Bar, 'verdict' | 'figure'> => {
  const bars = judge({ samples: [], restMB: {}, ...results }, DURABLE);
  const found = bars.find((bar) => `${bar.what} ${bar.limit}` === what);
  if (!found) throw new Error(`There is no bar ${what}: ${bars.map((bar) => `${bar.what} ${bar.limit}`).join('; ')}`);
  return { verdict: found.verdict, figure: found.figure };
};

const oneClient = (errand: number[], webhook: number[]) =>
  ['errand', 'webhook'].flatMap((system, i) =>
    ([errand, webhook][i] ?? []).map((p50Ms, round) => aSample({ system, clients: 1, round, p50Ms })),
  );

const sandboxOneClient = (inside: number, outside: number) => [
  aSample({ clients: 1, work: 'sandbox', p50Ms: inside }),
  aSample({ clients: 1, p50Ms: outside }),
];

test.for<[keyof typeof WHAT, string, Partial<Results>, Bar['verdict'], string]>([
  ['share', 'a median of just the bar', { samples: someSamples([0.9, 0.8, 1]) }, 'met', '0.90 [0.80–1.00] R'],
  ['share', 'a median below', { samples: someSamples([0.89, 0.89, 2]) }, 'missed', '0.89 [0.89–2.00] R'],
  ['share', 'other clients only', { samples: [aSample({ clients: 16 })] }, 'not measured', 'errand was left out'],
  ['errors', 'none', { samples: someSamples(RATIO) }, 'met', '0'],
  ['errors', 'some in one row', { samples: [aSample(), aSample({ clients: 1, errors: 3 })] }, 'missed', '3'],
  ['errors', 'a peer’s', { samples: [aSample(), aSample({ system: 'webhook', errors: 3 })] }, 'met', '0'],
  [
    'oneClient',
    'faster',
    { samples: oneClient([1, 1.1, 1.2], [1.3, 1.4, 1.5]) },
    'met',
    '1.10 [1.00–1.20] ms, webhook 1.40 [1.30–1.50] ms',
  ],
  [
    'oneClient',
    'slower in ranges that overlap',
    { samples: oneClient([1, 2, 3], [1, 1.5, 2]) },
    'missed',
    '2.00 [1.00–3.00] ms, webhook 1.50 [1.00–2.00] ms, a tie',
  ],
  ['oneClient', 'nobody to compare with', { samples: oneClient([1], []) }, 'not measured', 'webhook was left out'],
  ['tail', 'twice', { samples: [aSample({ p50Ms: 40, p99Ms: 80 })] }, 'met', '2.00 × p50'],
  ['tail', 'more than twice', { samples: [aSample({ p50Ms: 40, p99Ms: 81 })] }, 'missed', '2.02 × p50'],
  [
    'scripts',
    'round by round, not median by median',
    {
      samples: [
        ...someSamples([2, 4, 8], { work: 'script' }),
        ...someSamples([4, 1, 2], { work: 'script', system: 'webhook' }),
      ],
    },
    'met',
    '4.00 [0.50–4.00] × webhook',
  ],
  ['scripts', 'no webhook', { samples: [aSample({ work: 'script' })] }, 'not measured', 'left out: webhook'],
  ['sandbox', 'half of R', { samples: [aSample({ work: 'sandbox', ratio: 0.5 })] }, 'met', '0.50 R'],
  [
    'sandbox',
    'a server without one',
    { samples: [aSample()] },
    'not measured',
    'the server offers no isolation `sandbox` here',
  ],
  ['sandboxOneClient', 'twice', { samples: sandboxOneClient(2, 1) }, 'met', '2.00 ×: 2.00 ms, without 1.00 ms'],
  ['sandboxOneClient', 'thrice', { samples: sandboxOneClient(3, 1) }, 'missed', '3.00 ×: 3.00 ms, without 1.00 ms'],
  [
    'durable',
    'against the best of them',
    {
      samples: [
        aSample({ ratio: 0.9 }),
        aSample({ system: 'bullmq', ratio: 0.1 }),
        aSample({ system: 'pg-boss', ratio: 0.3 }),
      ],
    },
    'missed',
    '3.00 × pg-boss',
  ],
  [
    'durable',
    'one that is not durable is no rival',
    {
      samples: [
        aSample({ ratio: 0.9 }),
        aSample({ system: 'bullmq', ratio: 0.1 }),
        aSample({ system: 'webhook', ratio: 0.8 }),
      ],
    },
    'met',
    '9.00 × bullmq',
  ],
  ['durable', 'no peer', { samples: [aSample()] }, 'not measured', 'left out: bullmq, pg-boss'],
  ['rest', 'just the bar', { restMB: { errand: 120, bullmq: 300 } }, 'met', '120 MB'],
  ['rest', 'more', { restMB: { errand: 121 } }, 'missed', '121 MB'],
  ['rest', 'no /proc', { restMB: { errand: undefined } }, 'not measured', 'this machine does not tell'],
  [
    'growth',
    'less at the end',
    { growth: { beforeMB: 100, afterMB: 90 } },
    'met',
    '100 MB in the first commands, 90 MB in the last',
  ],
  [
    'growth',
    'more',
    { growth: { beforeMB: 100, afterMB: 111 } },
    'missed',
    '100 MB in the first commands, 111 MB in the last',
  ],
  ['growth', 'not asked for', {}, 'not measured', 'asked for by --long'],
  ['output', 'fast', { output: { megabytesPerSecond: 200, restMB: 1, peakMB: [1, 1] } }, 'met', '200 MB/s'],
  ['output', 'slow', { output: { megabytesPerSecond: 199, restMB: 1, peakMB: [1, 1] } }, 'missed', '199 MB/s'],
  ['output', 'left out', {}, 'not measured', 'left out'],
  [
    'outputMemory',
    'flat',
    { output: { megabytesPerSecond: 1, restMB: 50, peakMB: [50, 114] } },
    'met',
    '50 MB before, at most 50 MB in the first half, 114 MB in the second',
  ],
  [
    'outputMemory',
    'not flat',
    { output: { megabytesPerSecond: 1, restMB: 50, peakMB: [50, 115] } },
    'missed',
    '50 MB before, at most 50 MB in the first half, 115 MB in the second',
  ],
])('%s, %s', ([what, , results, verdict, figure]) => {
  expect(judged(WHAT[what], results)).toEqual({ verdict, figure });
});

describe('without any measurement', () => {
  test('no bar is met or missed, and each says why', () => {
    const bars = judge({ samples: [], restMB: {} }, DURABLE);
    expect(bars).toHaveLength(Object.keys(WHAT).length);
    for (const { verdict, figure } of bars) {
      expect(verdict).toBe('not measured');
      expect(figure).not.toBe('');
    }
  });
});
