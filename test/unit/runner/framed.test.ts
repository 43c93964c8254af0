import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EndHead, OutputHead } from '../../../shared/contract/runner.ts';
import { decodeFramed, encodeFramed } from '../../../shared/runner/framed.ts';

const head: OutputHead = { stdoutOffset: 3, stderrOffset: 0, segments: [{ stream: 'stdout', length: 5 }] };
const bytes = Buffer.from([0, 255, 10, 0x7b, 0xc3]);
const framed = encodeFramed(head, bytes);
const json = Buffer.from(JSON.stringify(head));
const withLength = (length: number, ...rest: Uint8Array[]): Buffer => {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(length);
  return Buffer.concat([prefix, ...rest]);
};

describe('a framed body', () => {
  test('is the length of its head, the head, and the bytes as they are', () => {
    expect(Buffer.from(framed)).toEqual(withLength(json.length, json, bytes));
    expect(decodeFramed(framed)).toEqual({ head, bytes });
  });

  test('whatever follows the head is bytes, also none', () => {
    expect(decodeFramed(encodeFramed(head, new Uint8Array()))?.bytes).toHaveLength(0);
    expect(decodeFramed(Buffer.concat([framed, framed]))?.bytes).toEqual(Buffer.concat([bytes, framed]));
  });

  test('cut off anywhere before the end of its head is none', () => {
    for (let length = 0; length < 4 + json.length; length++) {
      expect(decodeFramed(framed.subarray(0, length))).toBeUndefined();
    }
  });

  test('cut off in its bytes has fewer, which its head gives away', () => {
    for (let length = 4 + json.length; length < framed.length; length++) {
      expect(decodeFramed(framed.subarray(0, length))).toEqual({
        head,
        bytes: bytes.subarray(0, length - 4 - json.length),
      });
    }
  });

  test.for<[string, Uint8Array]>([
    ['a head longer than all there is', withLength(json.length + 1, json)],
    ['a head of 4 GiB', withLength(0xffffffff, json)],
    ['a head of 2 GiB, which is negative as a signed number', withLength(0x80000000, json)],
    ['no head', withLength(0, json)],
    ['a head cut short by its length', withLength(json.length - 1, json)],
    ['a head that goes on into the bytes', withLength(json.length + 2, json, bytes)],
    ['a head that is not JSON', withLength(3, Buffer.from('{a}'))],
    ['a head that is not UTF-8', withLength(4, Buffer.from([0x22, 0xff, 0xfe, 0x22]))],
    ['a head with a byte order mark', withLength(5, Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d]))],
    ['JSON without its length', json],
  ])('with %s is none', ([, body]) => {
    expect(decodeFramed(body)).toBeUndefined();
  });

  test('is read from where it lies within a larger buffer', () => {
    const larger = Buffer.concat([Buffer.alloc(7, 1), framed, Buffer.alloc(7, 2)]);
    expect(decodeFramed(larger.subarray(7, 7 + framed.length))).toEqual({ head, bytes });
  });

  test('goes there and back for any words and bytes', () => {
    const heads = fc.record({
      kind: fc.constant('rejected' as const),
      detail: fc.string({ unit: 'grapheme' }),
      retryable: fc.boolean(),
    });
    fc.assert(
      fc.property(heads, fc.uint8Array(), (one: EndHead, after) => {
        expect(decodeFramed(encodeFramed(one, after))).toEqual({ head: one, bytes: Buffer.from(after) });
      }),
    );
  });

  test('never makes decoding throw, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (body) => void decodeFramed(body)),
      { numRuns: 2_000 },
    );
  });
});
