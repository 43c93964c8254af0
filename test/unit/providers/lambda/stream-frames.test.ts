import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodeRecord,
  makeRecordReader,
  StreamFault,
  type StreamRecord,
} from '../../../../shared/providers/lambda/stream-frames.ts';

const encode = (records: readonly StreamRecord[]): Buffer => Buffer.concat(records.flatMap(encodeRecord));
const record = (type: number, payload: Uint8Array | string, length?: number): Buffer => {
  const bytes = Buffer.from(payload as string);
  const header = Buffer.alloc(5);
  header.writeUInt32BE(length ?? bytes.length + 1, 0);
  header.writeUInt8(type, 4);
  return Buffer.concat([header, bytes]);
};
/** What can be compared: bytes as plain ones. */
const plain = (records: readonly StreamRecord[]) =>
  records.map((one) => ('bytes' in one ? { ...one, bytes: Buffer.from(one.bytes).toString('latin1') } : one));

const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const ALL: readonly StreamRecord[] = [
  { kind: 'heartbeat' },
  { kind: 'started' },
  { kind: 'stdout', bytes: bytesOf('out\0\xff\xc3') },
  { kind: 'heartbeat' },
  { kind: 'stderr', bytes: bytesOf('err') },
  { kind: 'ended', exit: { exitCode: 7, signal: null, detail: 'Words — of a person' } },
];

describe('the records of the executor', () => {
  test('come back as they were, wherever the stream is split', () => {
    const bytes = encode(ALL);
    for (let at = 0; at <= bytes.length; at++) {
      const reader = makeRecordReader();
      const read = [...reader.read(bytes.subarray(0, at)), ...reader.read(bytes.subarray(at))];
      expect(plain(read)).toEqual(plain(ALL));
      expect(reader.isComplete()).toBe(true);
    }
  });

  test('come back as they were, byte by byte', () => {
    const reader = makeRecordReader();
    const read = [...encode(ALL)].flatMap((byte) => reader.read(Uint8Array.of(byte)));
    expect(plain(read)).toEqual(plain(ALL));
  });

  test('come back as they were, in any pieces', () => {
    const output = fc.record({
      kind: fc.constantFrom('stdout' as const, 'stderr' as const),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }),
    });
    fc.assert(
      fc.property(fc.array(output), fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (records, sizes) => {
        const bytes = encode([...records, { kind: 'refused' }]);
        const reader = makeRecordReader();
        const read: StreamRecord[] = [];
        for (let at = 0, n = 0; at < bytes.length; n++) {
          const size = sizes[n % sizes.length] ?? 1;
          read.push(...reader.read(bytes.subarray(at, at + size)));
          at += size;
        }
        expect(plain(read)).toEqual(plain([...records, { kind: 'refused' }]));
      }),
    );
  });

  test('output longer than one record may be becomes several, whole and in order', () => {
    const bytes = Buffer.alloc(2_500_000, 'abcdefg');
    const read = makeRecordReader().read(encode([{ kind: 'stdout', bytes }]));
    expect(read.map((one) => 'bytes' in one && one.bytes.length)).toEqual([1_048_576, 1_048_576, 402_848]);
    expect(Buffer.concat(read.map((one) => ('bytes' in one ? one.bytes : bytes))).equals(bytes)).toBe(true);
  });

  test.for<StreamRecord>([
    { kind: 'ended', exit: { exitCode: null, signal: 'SIGRTMIN+3', outOfMemory: true } },
    { kind: 'refused' },
    { kind: 'left' },
    { kind: 'rejected', detail: 'd', retryable: false },
    { kind: 'lost', detail: 'd' },
  ])('$kind is a last record', (last) => {
    const reader = makeRecordReader();
    expect(reader.read(encode([{ kind: 'heartbeat' }]))).toHaveLength(1);
    expect(reader.isComplete()).toBe(false);
    expect(reader.read(encode([last]))).toEqual([last]);
    expect(reader.isComplete()).toBe(true);
  });

  test('words that are too long are shortened by who says them', () => {
    const [read] = makeRecordReader().read(encode([{ kind: 'lost', detail: 'é'.repeat(5_000) }]));
    expect(read).toEqual({ kind: 'lost', detail: `${'é'.repeat(1_999)}…` });
  });

  test.for<[string, Buffer]>([
    ['text of another function', Buffer.from('"Hello from Lambda!"')],
    ['an unknown type', record(10, '')],
    ['type 0', record(0, '')],
    ['a length of nothing', record(1, '', 0)],
    ['output beyond the limit, told by its header alone', record(3, '', 1024 * 1024 + 2)],
    ['the greatest length there is', record(3, '', 0xffff_ffff)],
    ['an end beyond the limit', record(5, '', 16 * 1024 + 2)],
    ['a payload where none may be', record(2, 'x')],
    ['an end that is not JSON', record(5, '{')],
    ['an end without an exit code', record(5, '{"signal":null}')],
    ['an exit code that no process has', record(5, '{"exitCode":256,"signal":null}')],
    ['a signal that is none', record(5, '{"exitCode":null,"signal":"<b>"}')],
    ['an end with more in it', record(5, '{"exitCode":0,"signal":null,"more":1}')],
    ['words that are too long', record(8, JSON.stringify({ detail: 'x'.repeat(2_001) }))],
    ['a rejection that does not say whether to retry', record(7, '{"detail":"d"}')],
    ['something after the end', Buffer.concat([record(6, ''), record(1, '')])],
    ['half of something after the end', Buffer.concat([record(6, ''), Buffer.from([0])])],
  ])('refused: %s', ([, bytes]) => {
    expect(() => makeRecordReader().read(bytes)).toThrow(StreamFault);
    const oneByOne = makeRecordReader();
    expect(() => [...bytes].map((byte) => oneByOne.read(Uint8Array.of(byte)))).toThrow(StreamFault);
  });
});
