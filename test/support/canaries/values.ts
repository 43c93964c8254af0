import { randomBytes } from 'node:crypto';

const PEM = `-----BEGIN PRIVATE KEY-----\n${Array.from({ length: 6 }, () => randomBytes(48).toString('base64')).join('\n')}\n-----END PRIVATE KEY-----\n`;

/** Secrets of every kind, new in each test file: stored as secrets, and in the environment of all that runs Errand for a test. */
export const CANARIES = {
  ASCII: Buffer.from(`canary-${randomBytes(12).toString('hex')}`),
  BYTES: Buffer.concat([Buffer.from([0, 0xff, 0xfb]), randomBytes(61)]),
  PEM: Buffer.from(PEM),
  JSON: Buffer.from(JSON.stringify({ user: 'a"b\\c', key: `</${randomBytes(9).toString('base64')}>\n` })),
  UNICODE: Buffer.from(`Schlüssel-🔑-${randomBytes(6).toString('hex')}-ключ`),
  EIGHT: Buffer.from(`q%7/${randomBytes(2).toString('hex')}`),
} as const satisfies Record<string, Buffer>;

const isText = (bytes: Buffer): boolean => !bytes.includes(0) && Buffer.from(bytes.toString()).equals(bytes);

/** As a variable has it: what is no text, in base 64. */
const toVariable = (bytes: Buffer): Buffer => (isText(bytes) ? bytes : Buffer.from(bytes.toString('base64')));

/** What no command, log or answer may ever show of the environment that Errand itself runs in. */
export const CANARY_ENVIRONMENT: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(CANARIES).map(([name, bytes]) => [`PLANTED_${name}`, toVariable(bytes).toString()]),
);

/** What a secret must not be found as: each of its forms by name. Written apart from what masks them. */
export const formsOf = (secret: Buffer): ReadonlyMap<string, Buffer> => {
  const forms = new Map<string, Buffer>();
  for (const [which, bytes] of [
    ['value', secret],
    ['variable', toVariable(secret)],
  ] as const) {
    if (which === 'variable' && bytes.equals(secret)) continue;
    const add = (how: string, form: string | Buffer) => forms.set(`${which}, ${how}`, Buffer.from(form as string));
    add('raw', bytes);
    add('hex', bytes.toString('hex'));
    add('upper-case hex', bytes.toString('hex').toUpperCase());
    for (const before of [0, 1, 2]) {
      // Those characters that no neighbour has a part in.
      const coded = Buffer.concat([Buffer.alloc(before), bytes])
        .toString('base64')
        .replace(/=+$/, '');
      const own = coded.slice(before + (before > 0 ? 1 : 0), (bytes.length + before) % 3 === 0 ? undefined : -1);
      add(`base 64 at ${before}`, own);
      add(`base 64 for URLs at ${before}`, own.replaceAll('+', '-').replaceAll('/', '_'));
    }
    if (!isText(bytes)) continue;
    add('URL', encodeURIComponent(bytes.toString()));
    add('JSON', JSON.stringify(bytes.toString()).slice(1, -1));
    for (const [n, line] of bytes.toString().split('\n').entries()) {
      // What every PEM has is no secret.
      if (line.length >= 6 && !line.startsWith('-----')) add(`line ${n}`, line);
    }
  }
  return forms;
};
