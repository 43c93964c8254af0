import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readFrames } from '../../../../shared/providers/docker/attached.ts';

const frame = (stream: number, bytes: Uint8Array): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt8(stream, 0);
  head.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([head, bytes]);
};

async function* chunksOf(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const size = sizes[n % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const read = async (bytes: Buffer, sizes: readonly number[] = [bytes.length || 1]) => {
  const said = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const isWhole = await readFrames(chunksOf(bytes, sizes), async (stream, piece) => void said[stream].push(piece));
  return { isWhole, stdout: Buffer.concat(said.stdout), stderr: Buffer.concat(said.stderr) };
};

const frames = fc.array(fc.tuple(fc.constantFrom(1, 2), fc.uint8Array({ maxLength: 40 })), { maxLength: 20 });
const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 10 });

test('frames are read whole and in order, however they are cut into pieces', async () => {
  await fc.assert(
    fc.asyncProperty(frames, sizes, async (sent, cuts) => {
      const of = (which: number) =>
        Buffer.concat(sent.filter(([stream]) => stream === which).map(([, bytes]) => bytes));
      const got = await read(Buffer.concat(sent.map(([stream, bytes]) => frame(stream, bytes))), cuts);
      expect(got).toEqual({ isWhole: true, stdout: of(1), stderr: of(2) });
    }),
  );
});

test('what ends within a frame is not whole, and what came of it is kept', async () => {
  const bytes = Buffer.concat([frame(1, Buffer.from('first')), frame(2, Buffer.from('second'))]);
  for (let end = 0; end <= bytes.length; end++) {
    const { isWhole, stdout, stderr } = await read(bytes.subarray(0, end));
    expect(isWhole).toBe(end === 0 || end === 13 || end === bytes.length);
    expect(`${stdout}${stderr}`).toBe(`${bytes.subarray(8, Math.min(end, 13))}${bytes.subarray(21, end)}`);
  }
});

test.for<[string, Buffer]>([
  ['a stream that there is not', frame(3, Buffer.from('x'))],
  ['text, as of a terminal', Buffer.from('plain text without frames')],
])('%s is no frame', async ([, bytes]) => {
  expect(await read(bytes)).toMatchObject({ isWhole: false });
});

test('a connection that breaks is not whole', async () => {
  const breaking = (async function* () {
    yield frame(1, Buffer.from('said'));
    throw new Error('reset');
  })();
  expect(await readFrames(breaking, async () => {})).toBe(false);
});

test('more is read only when what came was taken', async () => {
  let asked = 0;
  const source = (async function* () {
    for (;;) {
      asked++;
      yield frame(1, Buffer.from('x'));
    }
  })();
  void readFrames(source, () => new Promise(() => {}));
  await new Promise((resolve) => setImmediate(resolve));
  expect(asked).toBe(1);
});
