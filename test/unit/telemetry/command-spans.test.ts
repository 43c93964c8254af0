import { describe, expect, test } from 'vitest';
import type { Command } from '../../../shared/domain/command.ts';
import { parentOf } from '../../../shared/domain/trace-context.ts';
import { step } from '../../../shared/engine/step.ts';
import type { Observation } from '../../../shared/engine/types.ts';
import { runContextOf, spanIdOf, spansOf } from '../../../shared/telemetry/command-spans.ts';
import type { Span } from '../../../shared/telemetry/tracing.ts';
import { aCommand, at, SECOND, T0 } from '../../support/commands.ts';

const TRACE = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' };
const TICKET = 'ticket';
const NONE = { stdoutBytes: 0, stderrBytes: 0, droppedBytes: 0 };
const looked: Observation = { kind: 'looked', worker: 'w', ticket: TICKET, holding: false };
const redeemed = (attempt = 1): Observation => ({ kind: 'redeemed', attempt, ticket: TICKET });
const ended = (exitCode: number, attempt = 1): Observation => ({
  kind: 'ended',
  attempt,
  ticket: TICKET,
  exit: { exitCode, signal: null },
  output: NONE,
});
const gone: Observation = { kind: 'gone', attempt: 1, ticket: TICKET, output: NONE };
const rejected = (retryable: boolean): Observation => ({ kind: 'rejected', attempt: 1, detail: 'no', retryable });
const canceled: Observation = { kind: 'cancel-requested' };

/** What is told of a command to which this happens, a second apart. `unstored`: changes that are stored with the next. */
const play = (seen: readonly Observation[], over: Partial<Command> = {}, spec = {}, unstored = false): Span[] => {
  let command = aCommand({ trace: TRACE, ...over }, spec);
  let before: Command | undefined;
  const spans = [...spansOf(undefined, command, T0)];
  for (const [n, observation] of seen.entries()) {
    const now = T0 + (n + 1) * SECOND;
    const { next } = step(command, observation, at(n + 1));
    before = command;
    command = next;
    if (command === before || (unstored && command.status === 'starting')) continue;
    spans.push(...spansOf(before, command, now));
  }
  return spans;
};

/** Each as `name(parent) from-to in seconds, and how it failed`. */
const told = (spans: readonly Span[]): string[] => {
  const nameById = new Map(spans.map(({ at, name }) => [at.spanId, name]));
  return spans.map(({ name, parentSpanId = '', startedAt, endedAt, failure }) => {
    const [from, to] = [startedAt, endedAt].map((at) => (at - T0) / SECOND);
    const parent = parentSpanId === parentOf(TRACE).spanId ? 'caller' : nameById.get(parentSpanId);
    return `${name}(${parent}) ${from}-${to}${failure === undefined ? '' : ` ${failure}`}`;
  });
};

const SUCCEEDED = [
  'submit command(command) 0-0',
  'queue(command) 0-1',
  'start(attempt) 1-2',
  'run(attempt) 2-3',
  'attempt(command) 1-3',
  'command(caller) 0-3',
];

describe('what is told of a command', () => {
  test.for<[string, readonly Observation[], object, readonly string[]]>([
    ['that succeeded', [looked, redeemed(), ended(0)], {}, SUCCEEDED],
    [
      'that failed',
      [looked, redeemed(), ended(7)],
      {},
      [...SUCCEEDED.slice(0, 3), 'run(attempt) 2-3 exit', 'attempt(command) 1-3 exit', 'command(caller) 0-3 exit'],
    ],
    [
      'that was lost',
      [looked, redeemed(), gone],
      {},
      [...SUCCEEDED.slice(0, 3), 'run(attempt) 2-3 lost', 'attempt(command) 1-3 lost', 'command(caller) 0-3 lost'],
    ],
    [
      'that a target refused for good',
      [looked, rejected(false)],
      {},
      [
        'submit command(command) 0-0',
        'queue(command) 0-1',
        'start(attempt) 1-2 provider-error',
        'attempt(command) 1-2 provider-error',
        'command(caller) 0-2 provider-error',
      ],
    ],
    [
      'that was canceled while it waited',
      [canceled],
      {},
      ['submit command(command) 0-0', 'queue(command) 0-1', 'command(caller) 0-1'],
    ],
    [
      'that was canceled while it started',
      [looked, canceled],
      {},
      [
        'submit command(command) 0-0',
        'queue(command) 0-1',
        'start(attempt) 1-2',
        'attempt(command) 1-2',
        'command(caller) 0-2',
      ],
    ],
  ])('%s', ([, seen, spec, expected]) => {
    expect(told(play(seen, {}, spec))).toEqual(expected);
  });

  test('is the same where the claim is stored with the start', () => {
    expect(told(play([looked, redeemed(), ended(0)], {}, {}, true))).toEqual(SUCCEEDED);
  });

  test('of a start that was given up is a queue and an attempt more', () => {
    const spans = play([looked, rejected(true), canceled]);
    expect(told(spans)).toEqual([
      'submit command(command) 0-0',
      'queue(command) 0-1',
      'start(attempt) 1-2 expired',
      'attempt(command) 1-2 expired',
      'queue(command) 2-3',
      'command(caller) 0-3',
    ]);
    expect(new Set(spans.map(({ at }) => at.spanId)).size).toBe(spans.length);
  });

  test('are ids, names and numbers of ours, and nothing that a caller wrote', () => {
    const spec = {
      argv: ['secret-argv'] as [string],
      env: { A: 'secret-env' },
      labels: { l: 'secret-label' },
      cwd: '/secret-cwd',
    };
    const text = JSON.stringify(play([looked, redeemed(), ended(7)], {}, spec));
    expect(text).not.toContain('secret');
    expect(JSON.parse(text).at(-1).attributes).toEqual({
      'errand.command.id': aCommand().id,
      'errand.tenant.id': 'default',
      'errand.target': 'local',
      'errand.attempts': 1,
      'errand.status': 'failed',
      'errand.reason': 'exit',
      'process.exit.code': 7,
    });
  });

  test('is nothing where it belongs to no trace', () => {
    expect(spansOf(undefined, aCommand(), T0)).toEqual([]);
  });

  test('begins the trace, where no caller did', () => {
    const spanId = spanIdOf(aCommand(), 'command');
    const trace = { traceparent: `00-${parentOf(TRACE).traceId}-${spanId}-01` };
    const spans = play([looked, redeemed(), ended(0)], { trace });
    expect(spans.at(-1)).toMatchObject({ name: 'command', at: { spanId } });
    expect(spans.at(-1)).not.toHaveProperty('parentSpanId');
    expect(told(spans).slice(0, -1)).toEqual(SUCCEEDED.slice(0, -1));
  });

  test('goes on below its run, in the process', () => {
    const spans = play([looked, redeemed(), ended(0)]);
    const run = spans.find(({ name }) => name === 'run');
    expect(parentOf(runContextOf(aCommand(), TRACE, 1))).toEqual(run?.at);
  });
});
