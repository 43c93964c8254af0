import { createHash } from 'node:crypto';
import type { Submission } from '../../../clients/sdk/client.ts';
import type { CommandView } from '../../../shared/contract/schemas.ts';
import type { Dice } from '../dice.ts';

type Status = CommandView['status'];

/** One command: what is asked for, what its caller does with it, and what may come of it. */
export interface Scenario {
  readonly n: number;
  readonly kind: Kind;
  readonly submission: Submission;
  /** All of its standard output, when it succeeds; a part of it from the first byte on, whatever happens. */
  readonly output: () => Buffer;
  readonly mayEndAs: readonly Status[];
  /** Whether it may run again when it is lost. */
  readonly isRetried: boolean;
  readonly caller: Caller;
}

interface Caller {
  /** Waits for its end with the submission itself. */
  readonly waitSeconds?: number;
  /** Sends the same submission from two connections at once. */
  readonly twice?: boolean;
  /** Goes away before the answer, for good. */
  readonly leavesAfterMs?: number;
  readonly cancelsAfterMs?: number;
  /** Reads its output live, to its end. */
  readonly follows?: boolean;
  /** Sent as open input, part by part. */
  readonly input?: readonly Buffer[];
}

export interface ScenarioOptions {
  /** Where commands write that they ran. */
  readonly ran: string;
  /** In the environment of each command, by which its processes are known. */
  readonly mark: string;
  readonly target?: string;
}

/** How often each comes, in shares of the whole. */
const SHARES = {
  quick: 20,
  slow: 15,
  waited: 15,
  failing: 5,
  family: 5,
  large: 8,
  followed: 8,
  input: 6,
  canceled: 8,
  retried: 5,
  twice: 3,
  left: 2,
} as const;
type Kind = keyof typeof SHARES;

const KINDS = Object.entries(SHARES).flatMap(([kind, share]) => Array<Kind>(share).fill(kind as Kind));

/** Bytes that nothing else has written: a line with its number, again and again. */
const flood = (n: number, length: number): Buffer => Buffer.alloc(length, `${n} 0123456789abcdef\n`);

export const makeScenario = (n: number, dice: Dice, { ran, mark, target }: ScenarioOptions): Scenario => {
  const kind = KINDS[dice.between(0, KINDS.length - 1)] as Kind;
  const pause = (dice.between(1, 60) / 100).toFixed(2);
  // One write to a file that is opened for appending: none of them can be lost among others.
  const plan = (script: string, output: string | (() => Buffer), over: Partial<Scenario> = {}): Scenario => ({
    ...{ n, kind, mayEndAs: ['succeeded', 'lost'], isRetried: false, caller: {}, ...over },
    output: typeof output === 'string' ? () => Buffer.from(output) : output,
    submission: {
      argv: ['/bin/sh', '-c', `echo ${n} >> ${ran}; ${script}`],
      env: { MARK: mark },
      labels: { n: String(n) },
      timeoutSeconds: 120,
      ...(target === undefined ? {} : { target }),
      ...over.submission,
    },
  });
  const said = `out ${n}\n`;
  const say = `echo out ${n}`;
  switch (kind) {
    case 'quick':
      return plan(say, said);
    case 'slow':
      return plan(`sleep ${pause}; ${say}`, said);
    case 'waited':
      return plan(`sleep ${pause}; ${say}`, said, { caller: { waitSeconds: 10 } });
    case 'failing':
      return plan(`${say}; exit 3`, said, { mayEndAs: ['failed', 'lost'] });
    case 'family':
      return plan(`setsid sleep 1000 & sleep ${pause}; ${say}`, said);
    case 'large': {
      const length = dice.between(100_000, 3_000_000);
      return plan(`yes '${n} 0123456789abcdef' | head -c ${length}`, () => flood(n, length));
    }
    case 'followed': {
      const pieces = dice.between(2, 5);
      const output = Array.from({ length: pieces }, (_, i) => `piece ${i + 1} of ${n}\n`).join('');
      const script = `for i in $(seq ${pieces}); do echo piece $i of ${n}; sleep 0.1; done`;
      return plan(script, output, { caller: { follows: true } });
    }
    case 'input': {
      const input = Array.from({ length: dice.between(1, 4) }, (_, i) => flood(n + i, dice.between(1, 90_000)));
      return plan('cat', () => Buffer.concat(input), { caller: { input }, submission: { stdin: 'open' } });
    }
    case 'canceled': {
      const cancelsAfterMs = dice.oneOf([0, dice.between(0, 600)]);
      return plan(`${say}; sleep 1000`, said, { mayEndAs: ['canceled', 'lost'], caller: { cancelsAfterMs } });
    }
    case 'retried': {
      const retry = { maxAttempts: 4, on: ['lost' as const] };
      return plan(`sleep ${pause}; ${say}`, said, { isRetried: true, submission: { retry } });
    }
    case 'twice':
      return plan(say, said, { caller: { twice: true } });
    case 'left':
      return plan(say, said, { caller: { leavesAfterMs: dice.between(0, 20) } });
  }
};

export const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 16);
