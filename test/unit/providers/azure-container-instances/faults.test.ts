import { expect, test } from 'vitest';
import { plainText, toFault } from '../../../../shared/providers/azure-container-instances/faults.ts';

const NOW = Date.parse('2030-01-01T00:00:00Z');
const answer = (statusCode: number, code: string, retryAfter?: string) =>
  Object.assign(new Error('why'), {
    statusCode,
    code,
    response: { headers: new Map(retryAfter === undefined ? [] : [['retry-after', retryAfter]]) },
  });

test.for<[string, unknown]>([
  ['500', answer(500, 'InternalServerError')],
  ['503 with a time', answer(503, 'ServiceUnavailable', '10')],
  ['408', answer(408, 'RequestTimeout')],
  ['a reset', Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })],
  ['a time-out', new Error('Azure did not answer in time.')],
  ['nothing', undefined],
])('after %s nobody knows whether it was done', ([, error]) => {
  expect(toFault(error, NOW)).toBeUndefined();
});

test.for<[string, unknown]>([
  ['refused', Object.assign(new Error(''), { code: 'ECONNREFUSED' })],
  ['refused, further down', Object.assign(new Error(''), { code: 'REQUEST_SEND_ERROR', cause: { code: 'ENOTFOUND' } })],
])('a connection that never was: %s', ([, error]) => {
  expect(toFault(error, NOW)).toEqual({ retryable: true, detail: expect.stringContaining('cannot be reached') });
});

test.for<[string | undefined, number | undefined]>([
  [undefined, undefined],
  ['17', 17],
  ['0', 1],
  ['86400', 3_600],
  ['Tue, 01 Jan 2030 00:01:30 GMT', 90],
  ['Mon, 31 Dec 2029 00:00:00 GMT', 1],
  ['soon', undefined],
])('Retry-After: %s is %s seconds', ([said, seconds]) => {
  expect(toFault(answer(429, 'TooManyRequests', said), NOW)?.retryAfterSeconds).toBe(seconds);
});

test('what is refused for good has no time to try it again', () => {
  expect(toFault(answer(403, 'AuthorizationFailed', '10'), NOW)).not.toHaveProperty('retryAfterSeconds');
});

test('words of the cloud are one line without control characters, and not too long', () => {
  expect(plainText(' a\n\tb\u001b[31m\u0000 c ')).toBe('a b [31m c');
  expect(plainText('x'.repeat(1_000))).toHaveLength(300);
});
