import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { frame, type LaunchEnd, type LaunchSpec, makeFrameReader } from '../../../../shared/providers/local/frames.ts';
import { decodeEnd, decodeSpec, encodeEnd, encodeSpec } from '../../../../shared/providers/local/launch-coding.ts';

const text = fc.string({ unit: 'binary' }).filter((value) => value.isWellFormed());
const variable = fc.tuple(
  text.filter((name) => !name.includes('=') && name !== '__proto__'),
  text,
);

const specs: fc.Arbitrary<LaunchSpec> = fc
  .record(
    {
      key: text,
      argv: fc.tuple(text, fc.array(text)).map(([program, args]): LaunchSpec['argv'] => [program, ...args]),
      env: fc.array(variable).map((variables) => Object.fromEntries(variables)),
      workDirectory: text,
      cwd: text,
      stdin: fc.boolean(),
      graceSeconds: fc.nat(100_000).map((milliseconds) => milliseconds / 1_000),
      isolation: fc.constantFrom('none', 'process'),
      memoryMiB: fc.integer({ min: 1, max: 4_194_304 }),
      cpu: fc.integer({ min: 1, max: 25_600 }).map((percent) => percent / 100),
      terminal: fc.record({ rows: fc.integer({ min: 1, max: 1_000 }), columns: fc.integer({ min: 1, max: 1_000 }) }),
    },
    { requiredKeys: ['key', 'argv', 'env', 'workDirectory', 'stdin', 'graceSeconds', 'isolation'] },
  )
  .map((spec) => spec as LaunchSpec);

const ENDS: readonly LaunchEnd[] = [
  { kind: 'ended', exitCode: 0, signal: null },
  { kind: 'ended', exitCode: 255, signal: null, detail: 'é€😀', usage: { cpuMs: 1.234, peakMemoryMiB: 0.5 } },
  { kind: 'ended', exitCode: null, signal: 'SIGKILL', outOfMemory: true, usage: { cpuMs: 8e9, peakMemoryMiB: 4e6 } },
  { kind: 'dropped' },
  { kind: 'rejected', detail: 'No process could be made', retryable: true },
  { kind: 'rejected', detail: 'Never', retryable: false },
];

describe('the coding of launches', () => {
  test('gives back every spec', () => {
    fc.assert(
      fc.property(specs, (spec) => {
        expect(decodeSpec(encodeSpec(spec))).toEqual(spec);
      }),
    );
  });

  test.for(ENDS)('gives back the end %j', (end) => {
    expect(decodeEnd(encodeEnd(end))).toEqual(end);
  });

  test('refuses a spec that was cut anywhere, or has a byte too many', () => {
    fc.assert(
      fc.property(specs, fc.nat(), (spec, at) => {
        const bytes = encodeSpec(spec);
        expect(() => decodeSpec(bytes.subarray(0, at % bytes.length))).toThrow();
        expect(() => decodeSpec(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(/too many/);
      }),
    );
  });

  test('refuses counts and lengths that lie, without asking for their memory', () => {
    const bytes = encodeSpec({
      key: 'k',
      argv: ['a'],
      env: {},
      workDirectory: '/w',
      stdin: false,
      graceSeconds: 1,
      isolation: 'none',
    });
    for (let at = 17; at + 4 <= bytes.length; at++) {
      const lying = Buffer.from(bytes);
      lying.writeUInt32BE(0xffff_ffff, at);
      expect(() => decodeSpec(lying)).toThrow();
    }
  });

  test.for(['stdout', 'credit'] as const)('frames of %s come out as they went in, however they are cut', (kind) => {
    const payloads = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(payloads, fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }), (sent, cuts) => {
        const bytes = Buffer.concat(sent.flatMap((payload, run) => frame(kind, run, payload)));
        const heard = new Map<number, number[]>();
        const read = makeFrameReader((_, run, part) => heard.set(run, [...(heard.get(run) ?? []), ...part]));
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const length = cuts[cut % cuts.length] as number;
          read(bytes.subarray(at, at + length));
          at += length;
        }
        expect(sent.map((_, run) => heard.get(run) ?? [])).toEqual(sent.map((payload) => [...payload]));
      }),
    );
  });

  test.for<[string, number[]]>([
    ['shorter than its own header', [0, 0, 0, 4, 1, 0, 0, 0, 0]],
    ['larger than any', [0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0]],
    ['of a kind that there is not', [0, 0, 0, 5, 99, 0, 0, 0, 0]],
  ])('a frame %s is refused', ([, bytes]) => {
    expect(() => makeFrameReader(() => {})(Buffer.from(bytes))).toThrow();
  });
});
