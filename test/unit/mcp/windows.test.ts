import { describe, expect, test } from 'vitest';
import { windowOf, withoutCutEnd } from '../../../shared/mcp/windows.ts';

const outputOf = (bytes: Buffer) => ({
  size: bytes.length,
  async *read(from: number, to: number) {
    // In pieces, as the store gives it.
    for (let at = from; at < to; at += 7) yield bytes.subarray(at, Math.min(to, at + 7));
  },
});

describe('a window on an output', () => {
  test('shows all of it where it fits', async () => {
    const window = await windowOf(outputOf(Buffer.from('hällo')), 'stdout', 6);
    expect(window).toEqual({ text: 'hällo', totalBytes: 6, omittedBytes: 0, omittedFrom: null });
  });

  test('shows nothing of nothing', async () => {
    expect(await windowOf(outputOf(Buffer.alloc(0)), 'stdout', 256)).toMatchObject({ text: '', totalBytes: 0 });
  });

  test('shows the beginning and the end, and says what is missing and how to read it', async () => {
    const bytes = Buffer.from(Array.from({ length: 1_000 }, (_, i) => `line ${i}\n`).join(''));
    const { text, totalBytes, omittedBytes, omittedFrom } = await windowOf(outputOf(bytes), 'stderr', 400);
    expect(totalBytes).toBe(bytes.length);
    expect(omittedFrom).toBe(100);
    expect(omittedBytes).toBe(bytes.length - 400);
    const mark = `\n[${omittedBytes} bytes are omitted here: read_output with stream stderr and from 100]\n`;
    expect(text).toBe(`${bytes.subarray(0, 100)}${mark}${bytes.subarray(bytes.length - 300)}`);
  });

  test.for([400, 401, 402, 403, 404, 405, 406])('cuts no character in two, of %i bytes', async (most) => {
    const bytes = Buffer.from('aé漢🚀'.repeat(500));
    const { text, omittedBytes, omittedFrom } = await windowOf(outputOf(bytes), 'stdout', most);
    expect(text).not.toContain('\u{fffd}');
    const [head = '', tail = ''] = text.split(/\n\[.*\]\n/);
    expect(Buffer.byteLength(head)).toBe(omittedFrom);
    expect(Buffer.byteLength(head) + Buffer.byteLength(tail) + omittedBytes).toBe(bytes.length);
    expect(bytes.toString().startsWith(head) && bytes.toString().endsWith(tail)).toBe(true);
  });

  test('shows bytes that are no text without failing', async () => {
    const { text } = await windowOf(outputOf(Buffer.alloc(10_000, 0xff)), 'stdout', 256);
    expect(text).toContain('\u{fffd}');
  });

  test.for([
    ['a whole text', 'aé', 'aé'],
    ['one byte of two', Buffer.from('aé').subarray(0, 2), 'a'],
    ['two bytes of three', Buffer.from('a漢').subarray(0, 3), 'a'],
    ['three bytes of four', Buffer.from('a🚀').subarray(0, 4), 'a'],
    ['nothing', '', ''],
  ] as const)('the end of %s is whole', ([, given, kept]) => {
    expect(withoutCutEnd(Buffer.from(given)).toString()).toBe(kept);
  });
});
