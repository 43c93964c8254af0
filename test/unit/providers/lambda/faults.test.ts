import { describe, expect, test } from 'vitest';
import { type Heard, toCutShort, toFault } from '../../../../shared/providers/lambda/faults.ts';

const details = (errorType: string, errorMessage: string): string => JSON.stringify({ errorType, errorMessage });

describe('how the end of a stream without a last word is told', () => {
  const timedOut = details('Sandbox.Timedout', 'Task timed out after 3.00 seconds');
  const killed = details('Runtime.ExitError', 'RequestId: 1 Error: Runtime exited with error: signal: killed');
  test.for<[string, Heard, string | undefined, string | undefined, object]>([
    ['time-out, by its code', 'started', 'Sandbox.Timedout', timedOut, { kind: 'lost', detail: /own time-out/ }],
    ['time-out, by its details', 'started', 'Unhandled', timedOut, { kind: 'lost', detail: /own time-out/ }],
    ['killed', 'started', 'Runtime.ExitError', killed, { kind: 'lost', detail: /want of memory/ }],
    ['out of memory, as Lambda says', 'started', 'Runtime.OutOfMemory', undefined, { kind: 'ended' }],
    ['the same before the start', 'life', 'Runtime.OutOfMemory', undefined, { kind: 'unheard' }],
    ['its process ended', 'started', 'Runtime.ExitError', undefined, { kind: 'lost', detail: /process ended/ }],
    ['code that says nothing', 'started', 'Unhandled', 'no JSON', { kind: 'lost', detail: /Unhandled/ }],
    ['code that is not to be shown', 'started', '<script>', undefined, { kind: 'lost', detail: /an unknown error/ }],
    ['no code, no word', 'started', undefined, undefined, { kind: 'lost', detail: /before its last word/ }],
    ['not loaded', 'nothing', 'Runtime.ImportModuleError', undefined, { kind: 'rejected' }],
    // A command that says so by the runtime API of its own function, after it was started.
    ['not loaded, though it lived', 'started', 'Runtime.ImportModuleError', undefined, { kind: 'lost' }],
    ['another function that ended well', 'nothing', undefined, undefined, { kind: 'rejected' }],
  ])('%s (%s)', ([, heard, ErrorCode, ErrorDetails, expected]) => {
    const outcome = toCutShort({ ErrorCode, ErrorDetails }, heard);
    const { detail, ...rest } = expected as { detail?: RegExp };
    expect(outcome).toMatchObject(rest);
    if (detail) expect(outcome).toMatchObject({ detail: expect.stringMatching(detail) });
    if (outcome.kind === 'ended') expect(outcome.exit).toMatchObject({ exitCode: null, outOfMemory: true });
    if (outcome.kind === 'rejected') expect(outcome.fault.retryable).toBe(false);
  });

  test('a stream that is cut without any word leaves all open', () => {
    expect(toCutShort(undefined, 'nothing')).toMatchObject({ kind: 'unheard' });
  });
});

describe('how a call that failed is told', () => {
  test.for<[string, object, object]>([
    [
      'a network that is away',
      { code: 'ECONNREFUSED', name: 'Error' },
      { kind: 'rejected', fault: { retryable: true } },
    ],
    ['a name that is not known', { code: 'ENOTFOUND' }, { kind: 'rejected', fault: { retryable: true } }],
    ['a reset', { name: 'TimeoutError', code: 'ECONNRESET' }, { kind: 'unheard' }],
    ['an abort', { name: 'AbortError' }, { kind: 'unheard' }],
    ['an error that nobody knows', { name: 'SomethingNewException' }, { kind: 'unheard' }],
    ['a failure of the service', { name: 'ServiceException' }, { kind: 'unheard' }],
    ['a throttle', { name: 'TooManyRequestsException', retryAfterSeconds: '7' }, { fault: { retryAfterSeconds: 7 } }],
    [
      'a throttle of days',
      { name: 'TooManyRequestsException', retryAfterSeconds: '864000' },
      { fault: { retryAfterSeconds: 3_600 } },
    ],
    [
      'nonsense to wait for',
      { name: 'TooManyRequestsException', retryAfterSeconds: '-1' },
      { fault: { retryable: true } },
    ],
  ])('%s', ([, error, expected]) => {
    expect(toFault(error, 'executor')).toMatchObject(expected);
  });

  test('nothing of what the SDK throws is passed on but names', () => {
    const thrown = Object.assign(new Error('secret-token in a message'), {
      name: 'SomeError',
      $response: 'secret-token',
    });
    expect(JSON.stringify(toFault(thrown, 'executor'))).not.toContain('secret-token');
  });
});
