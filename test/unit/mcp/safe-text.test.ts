import { describe, expect, test } from 'vitest';
import { toSafe, toSafeText } from '../../../shared/mcp/safe-text.ts';

describe('text for a model', () => {
  test.for([
    ['plain text', 'a b\tc\nd', 'a b\tc\nd'],
    ['letters of any script', 'äöü 漢字 العربية हिन्दी', 'äöü 漢字 العربية हिन्दी'],
    ['emoji', '⚠️ 🚀', '⚠️ 🚀'],
    ['an escape sequence', '\u{1b}[31mred', '\\u{1b}[31mred'],
    ['NUL and backspace', 'a\0b\bc', 'a\\u{0}b\\u{8}c'],
    ['a lone carriage return', 'safe\rforged', 'safe\\u{d}forged'],
    ['C1 controls', '\u{9b}31m', '\\u{9b}31m'],
    ['an override of direction', 'a\u{202e}b', 'a\\u{202e}b'],
    ['isolates of direction', '\u{2066}x\u{2069}', '\\u{2066}x\\u{2069}'],
    ['marks of direction', '\u{200e}\u{200f}\u{61c}', '\\u{200e}\\u{200f}\\u{61c}'],
    ['tags, which spell what nobody sees', '\u{e0041}\u{e0042}\u{e007f}', '\\u{e0041}\\u{e0042}\\u{e007f}'],
    [
      'characters without width',
      'a\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}b',
      'a\\u{200b}\\u{200c}\\u{200d}\\u{2060}\\u{feff}b',
    ],
    ['fillers', '\u{3164}\u{115f}\u{ffa0}', '\\u{3164}\\u{115f}\\u{ffa0}'],
    ['variation selectors that carry bytes', '\u{fe00}\u{e0100}', '\\u{fe00}\\u{e0100}'],
    ['separators of lines and paragraphs', '\u{2028}\u{2029}', '\\u{2028}\\u{2029}'],
    ['private use', '\u{e000}', '\\u{e000}'],
  ] as const)('shows %s so that nothing hides in it', ([, given, shown]) => {
    expect(toSafeText(given)).toBe(shown);
  });

  test('is the same when it is made safe twice', () => {
    const once = toSafeText('\u{1b}\u{202e}\u{e0041}');
    expect(toSafeText(once)).toBe(once);
  });

  test('is made of every string within, names too, and of nothing else', () => {
    expect(toSafe({ 'a\u{202e}': ['\0', 7, null, true, { b: '\u{1b}' }] })).toEqual({
      'a\\u{202e}': ['\\u{0}', 7, null, true, { b: '\\u{1b}' }],
    });
  });
});
