/** What is shorter is never masked: it would hit by chance, and what is left of the output would say where. */
export const LEAST_MASKED_BYTES = 6;

/** Of longer values only the usual spellings are looked for: each takes some 30 bytes of memory for a byte of its own. */
const MOST_SPELLED_BYTES = 8 * 1024;

/**
 * Every text by which a value is masked: itself, its lines, and what programs make of it (base 64, hex, URL, JSON).
 * Shorter ones than `LEAST_MASKED_BYTES` are left out.
 */
export const encodingsOf = (value: Uint8Array): readonly Uint8Array[] => {
  const bytes = Buffer.from(value);
  // A shell drops the line breaks at the end of what it reads.
  const forms = distinct([bytes, withoutLastBreaks(bytes)]).filter(isLongEnough);
  const all = [...forms.flatMap(encode), ...linesOf(bytes)];
  return distinct(all).filter(isLongEnough);
};

const isLong = ({ length }: Uint8Array): boolean => length > MOST_SPELLED_BYTES;

const isLongEnough = ({ length }: Uint8Array): boolean => length >= LEAST_MASKED_BYTES;

const encode = (bytes: Buffer): readonly Buffer[] => [
  bytes,
  ...inBase64(bytes),
  ...inHex(bytes),
  ...inUrl(bytes),
  ...inJson(bytes),
];

/** At each of the three places at which it may begin within what is encoded, and in both alphabets. */
const inBase64 = (bytes: Buffer): readonly Buffer[] => {
  const alone = bytes.toString('base64').replace(/=+$/, '');
  const within = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    // What the neighbours have a part in is left out: a character is 6 bits, a byte 8.
    return text.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
  });
  // base64(1) breaks lines at 76 characters, PEM (RFC 7468) at 64.
  const lines = isLong(bytes) ? [] : [...wrapped(alone, 76), ...wrapped(alone, 64)];
  const texts = [alone, ...within, ...lines];
  return [...texts, ...texts.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))].map(toBytes);
};

const inHex = (bytes: Buffer): readonly Buffer[] => {
  const text = bytes.toString('hex');
  // As xxd -p breaks lines.
  const texts = [text, ...(isLong(bytes) ? [] : wrapped(text, 60))];
  return [...texts, ...texts.map((one) => one.toUpperCase())].map(toBytes);
};

const wrapped = (text: string, columns: number): readonly string[] =>
  text.length > columns ? (text.match(new RegExp(`.{1,${columns}}`, 'g')) ?? []) : [];

/** What RFC 3986 lets stand; and what encodeURIComponent, encodeURI and HTML forms let stand besides. */
const UNRESERVED = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~';
const COMPONENT = `${UNRESERVED}!'()*`;
const LET_STAND = [UNRESERVED, `${UNRESERVED}/`, COMPONENT, `${UNRESERVED}!'()*;/?:@&=+$,#`];
const FORM = `${UNRESERVED.replace('~', '')}*`;

const inUrl = (bytes: Buffer): readonly Buffer[] => {
  if (isLong(bytes)) return [toBytes(percentEncoded(bytes, COMPONENT))];
  const texts = [...LET_STAND.map((kept) => percentEncoded(bytes, kept)), percentEncoded(bytes, FORM, '+')];
  const lower = texts.map((text) => text.replace(/%../g, (one) => one.toLowerCase()));
  return [...texts, ...lower].map(toBytes);
};

const percentEncoded = (bytes: Buffer, kept: string, space = '%20'): string => {
  const table = Array.from({ length: 256 }, (_, byte) => {
    const character = String.fromCharCode(byte);
    if (character === ' ') return space;
    return kept.includes(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  });
  return Array.from(bytes, (byte) => table[byte]).join('');
};

/** As JSON.stringify has it; with every slash escaped; and with nothing but ASCII, as Python has it. */
const inJson = (bytes: Buffer): readonly Buffer[] => {
  const text = bytes.toString('utf8');
  if (!Buffer.from(text).equals(bytes)) return [];
  const plain = JSON.stringify(text).slice(1, -1);
  if (isLong(bytes)) return [toBytes(plain)];
  const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  const ascii = plain.replace(/[\x7f-\uffff]/g, escaped);
  const html = plain.replace(/[<>&\u2028\u2029]/g, escaped);
  const upper = ascii.replace(/\\u[0-9a-f]{4}/g, (one) => `\\u${one.slice(2).toUpperCase()}`);
  const texts = [plain, ascii, upper, html];
  return [...texts, ...texts.map((one) => one.replaceAll('/', '\\/'))].map(toBytes);
};

/** Programs print one of them, or break off between them. */
const linesOf = (bytes: Buffer): readonly Buffer[] => {
  const text = bytes.toString('latin1');
  return /[\r\n]/.test(text) ? text.split(/[\r\n]+/).map((line) => Buffer.from(line, 'latin1')) : [];
};

const withoutLastBreaks = (bytes: Buffer): Buffer =>
  Buffer.from(bytes.toString('latin1').replace(/[\r\n]+$/, ''), 'latin1');

const toBytes = (text: string): Buffer => Buffer.from(text);

const distinct = (all: readonly Buffer[]): readonly Buffer[] => [
  ...new Map(all.map((one) => [one.toString('latin1'), one])).values(),
];
