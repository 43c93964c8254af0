import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { encodingsOf } from '../../../shared/secrets/encodings.ts';
import { MASK, makeMask } from '../../../shared/secrets/mask.ts';

const bytesOf = (value: string | Uint8Array): Buffer => Buffer.from(value as string);

/** What comes out when `text` comes in these pieces, and how often something was masked. */
const masked = (secrets: readonly (string | Uint8Array)[], pieces: readonly (string | Uint8Array)[]) => {
  const mask = makeMask(secrets.map(bytesOf));
  if (!mask) throw new Error('Nothing to mask');
  const stream = mask.open();
  const out = pieces.map((piece) => {
    // Whoever brings the bytes may use their place again.
    const own = Buffer.from(piece as string);
    const told = Buffer.from(stream.write(own));
    own.fill(0);
    return told;
  });
  return { bytes: Buffer.concat([...out, stream.end()]), redactions: stream.redactions() };
};

const pem = `-----BEGIN PRIVATE KEY-----\n${'MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDC7Vx/+kqp3jWm\n'.repeat(3)}-----END PRIVATE KEY-----\n`;
/** Bytes at which base 64 has both of its special characters. */
const binary = Buffer.concat([Buffer.from([0xfb, 0xff, 0xbe, 0xff, 0x00, 0x0a]), randomBytes(58)]);
const SECRETS = {
  ASCII: 'hunter2-is-no-password',
  'eight characters': 'pass/w?d',
  'multi-line PEM': pem,
  JSON: '{"user":"a\\"b","key":"</x>&\\n"}',
  Unicode: 'Schlüssel–🔑–ключ',
  'random bytes': binary,
} as const;

const json = (text: string) => JSON.stringify(text).slice(1, -1);
const text = (bytes: Buffer) => (Buffer.from(bytes.toString()).equals(bytes) ? bytes.toString() : undefined);

/** What programs print of a value; written apart from what is tested. */
const PRINTED: Readonly<Record<string, (bytes: Buffer) => string | Buffer | undefined>> = {
  raw: (bytes) => bytes,
  'base 64': (bytes) => bytes.toString('base64').replace(/=+$/, ''),
  'base 64 for URLs': (bytes) => bytes.toString('base64url'),
  hex: (bytes) => bytes.toString('hex'),
  'upper-case hex': (bytes) => bytes.toString('hex').toUpperCase(),
  'a URL': (bytes) => text(bytes) && encodeURIComponent(bytes.toString()),
  'a URL with lower-case escapes': (bytes) =>
    text(bytes) && encodeURIComponent(bytes.toString()).replace(/%../g, (one) => one.toLowerCase()),
  'a form': (bytes) => text(bytes) && new URLSearchParams({ a: bytes.toString() }).toString().slice(2),
  JSON: (bytes) => text(bytes) && json(bytes.toString()),
  'ASCII JSON': (bytes) =>
    text(bytes) &&
    json(bytes.toString()).replace(/[^\x20-\x7e]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`),
};
const CASES = Object.entries(SECRETS).flatMap(([name, value]) =>
  Object.entries(PRINTED).flatMap(([how, print]) => {
    const printed = print(bytesOf(value));
    return printed === undefined ? [] : [{ name, value, how, printed: bytesOf(printed) }];
  }),
);

describe('the mask of a secret', () => {
  test.for(CASES)('$name as $how is masked wherever the bytes are cut', ({ value, printed }) => {
    const whole = Buffer.concat([bytesOf('before '), printed, bytesOf(' after')]);
    for (let at = 0; at <= whole.length; at++) {
      const { bytes, redactions } = masked([value], [whole.subarray(0, at), whole.subarray(at)]);
      expect(bytes.toString()).toBe(`before ${MASK} after`);
      expect(redactions).toBe(1);
    }
  });

  test.for(CASES)('$name as $how is masked when it comes byte by byte', ({ value, printed }) => {
    const whole = Buffer.concat([bytesOf('before '), printed, bytesOf(' after')]);
    const { bytes } = masked(
      [value],
      Array.from(whole, (byte) => Uint8Array.of(byte)),
    );
    expect(bytes.toString()).toBe(`before ${MASK} after`);
  });

  test.for(
    Object.entries(SECRETS).flatMap(([name, value]) => [0, 1, 2, 3, 4, 5].map((before) => ({ name, value, before }))),
  )(
    '$name in base 64 of something larger, $before bytes in, leaves but the characters that its neighbours share',
    ({ value, before }) => {
      const within = Buffer.concat([Buffer.alloc(before, 'x'), bytesOf(value), bytesOf('the rest')]);
      for (const coding of ['base64', 'base64url'] as const) {
        const { bytes, redactions } = masked([value], [within.toString(coding)]);
        expect(redactions).toBe(1);
        const around = Math.ceil(((before + 9) * 8) / 6) + 4;
        expect(bytes.length).toBeLessThanOrEqual(MASK.length + around);
      }
    },
  );

  test('what base64(1), PEM and xxd break into lines is masked line by line', () => {
    const lines = (coded: string, columns: number) => coded.match(new RegExp(`.{1,${columns}}`, 'g')) ?? [];
    for (const printed of [
      lines(binary.toString('base64').replace(/=+$/, ''), 76),
      lines(bytesOf(pem).toString('base64').replace(/=+$/, ''), 64),
      lines(binary.toString('hex'), 60),
    ]) {
      const { bytes } = masked([binary, pem], [`${printed.join('\n')}\n`]);
      const left = printed.filter((line) => line.length >= 6 && bytes.includes(line));
      expect(left).toEqual([]);
    }
  });

  test('each line of a multi-line value is masked by itself, and so is the value without its last line break', () => {
    const [, line = ''] = pem.split('\n');
    expect(masked([pem], [`<${line}>`]).bytes.toString()).toBe(`<${MASK}>`);
    expect(masked([pem], [`<${bytesOf(pem.trimEnd()).toString('base64')}>`]).redactions).toBe(1);
    expect(masked(['first line\r\nsecond line\r\n'], ['second line\nfirst line']).bytes.toString()).toBe(
      `${MASK}\n${MASK}`,
    );
  });

  test.for<[string, string[], string, string, number]>([
    ['overlap', ['abcdefgh', 'efghijkl'], '-abcdefghijkl-', `-${MASK}-`, 1],
    ['one is the beginning of another', ['password', 'password-long'], '-password-long-', `-${MASK}-`, 1],
    ['only the beginning is there', ['password', 'password-long'], '-password-loud-', `-${MASK}-loud-`, 1],
    ['one is inside of another', ['inside', 'one-inside-other'], '-one-inside-other-', `-${MASK}-`, 1],
    ['one follows upon another', ['abcdef', 'ghijkl'], '-abcdefghijkl-', `-${MASK}${MASK}-`, 2],
    ['the same twice', ['abcdef'], 'abcdefabcdef', `${MASK}${MASK}`, 2],
    ['it overlaps itself', ['abcabcab'], '-abcabcabcab-', `-${MASK}-`, 1],
    ['two, and one across them', ['abcdef', 'ghijkl', 'efghijklmn'], '-abcdefghijklmn-', `-${MASK}-`, 1],
    ['nothing is there', ['abcdef'], '-abcdeg-', '-abcdeg-', 0],
    ['it breaks off', ['abcdef'], '-abcde', '-abcde', 0],
  ])('when secrets %s, all of them is masked however the bytes are cut', ([, secrets, given, expected, count]) => {
    for (let first = 0; first <= given.length; first++) {
      for (let second = first; second <= given.length; second++) {
        const pieces = [given.slice(0, first), given.slice(first, second), given.slice(second)];
        const { bytes, redactions } = masked(secrets, pieces);
        expect([bytes.toString(), redactions]).toEqual([expected, count]);
      }
    }
  });

  test('bytes that are not secret pass exactly, in whatever pieces they come', () => {
    const secrets = Object.values(SECRETS);
    for (let round = 0; round < 200; round++) {
      // Of few letters, those of the secrets among them, so that beginnings of secrets are everywhere.
      const given = Buffer.from(randomBytes(2_000).map((byte) => 'hunter2-pas/w?'.charCodeAt(byte % 14)));
      const pieces: Buffer[] = [];
      for (let at = 0; at < given.length; ) {
        const length = 1 + (((given[at] ?? 0) * 7 + round) % 97);
        pieces.push(given.subarray(at, at + length));
        at += length;
      }
      expect(masked(secrets, pieces).bytes.equals(given)).toBe(true);
    }
  });

  test('many secrets among random bytes: the same as replacing each, wherever the pieces end', () => {
    const secrets = Array.from({ length: 20 }, () => randomBytes(12).toString('hex'));
    for (let round = 0; round < 50; round++) {
      const given = Array.from({ length: 40 }, (_, n) =>
        n % 3 === round % 3 ? (secrets[(n * 7 + round) % 20] ?? '') : randomBytes(n).toString('base64'),
      ).join('|');
      const expected = secrets.reduce((all, secret) => all.replaceAll(secret, MASK), given);
      const pieces = given.match(new RegExp(`[^]{1,${1 + round * 3}}`, 'g')) ?? [];
      const { bytes, redactions } = masked(secrets, pieces);
      expect(bytes.toString()).toBe(expected);
      expect(redactions).toBe(expected.split(MASK).length - 1);
    }
  });

  test('output is told at once where no secret may begin, and a whole secret is not held back', () => {
    const stream = makeMask([bytesOf('hunter2-long')])?.open();
    const tell = (piece: string) => bytesOf(stream?.write(bytesOf(piece)) ?? '').toString();
    expect(tell('name? ')).toBe('name? ');
    expect(tell('say hunt')).toBe('say ');
    expect(tell('ing, hunter2-long')).toBe(`hunting, ${MASK}`);
  });

  test.for<[string, number]>([
    ['12345', 0],
    ['123456', 1],
  ])('%s is masked %i times: below 6 bytes never', ([secret, times]) => {
    expect(
      makeMask([bytesOf(secret)])
        ?.open()
        .write(bytesOf(`${secret}.`)).length ?? 0,
    ).toBe(times && MASK.length + 1);
    expect(encodingsOf(bytesOf(secret)).length > 0).toBe(times > 0);
  });

  test('a sentence is masked whole, and one without a secret stays the same text', () => {
    const mask = makeMask(Object.values(SECRETS).map(bytesOf));
    expect(mask?.text('spawn /bin/hunter2-is-no-password ENOENT')).toBe(`spawn /bin/${MASK} ENOENT`);
    expect(mask?.text('Nothing – of it')).toBe('Nothing – of it');
  });

  test('the longest value that can be stored is masked, its memory bounded', () => {
    const long = randomBytes(64 * 1024);
    const before = process.memoryUsage().arrayBuffers;
    const { bytes } = masked([long], ['<', long, '>', long.toString('hex'), '>', long.toString('base64url'), '>']);
    expect(bytes.toString()).toBe(`<${MASK}>${MASK}>${MASK}>`);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 * 1024 * 1024);
  });
});
