import { randomBytes } from 'node:crypto';
import { makeMask } from '../shared/secrets/mask.ts';

/*
 * How fast output passes the mask of 10 secrets, in MB/s: the best of five rounds over 64 MiB in pieces of 64 KiB, as the
 * launcher hands them over. Output of commands without secrets passes no mask at all.
 */
const PIECE_BYTES = 64 * 1024;
const PIECES = 1_024;
const ROUNDS = 5;

/** One of them short, as it lets the least be skipped. */
const secrets = Array.from({ length: 10 }, (_, n) => Buffer.from(randomBytes(6 + n * 4).toString('base64')));

const words = 'The quick brown fox jumps over the lazy dog while 42 tests pass in build/output.log; '.repeat(1_000);
const OUTPUTS: Readonly<Record<string, Buffer>> = {
  text: Buffer.from(words).subarray(0, PIECE_BYTES),
  zeros: Buffer.alloc(PIECE_BYTES),
  'random bytes': randomBytes(PIECE_BYTES),
  'base 64': Buffer.from(randomBytes(PIECE_BYTES).toString('base64')).subarray(0, PIECE_BYTES),
  'beginnings of secrets': Buffer.alloc(PIECE_BYTES, secrets.map((one) => one.subarray(0, -1)).join(' ')),
  hex: Buffer.from(randomBytes(PIECE_BYTES / 2).toString('hex')),
};

const madeAt = process.hrtime.bigint();
const mask = makeMask(secrets);
const madeMs = Number(process.hrtime.bigint() - madeAt) / 1e6;
if (!mask) throw new Error('Nothing to mask');
process.stdout.write(`mask of 10 secrets made in ${madeMs.toFixed(1)} ms\n`);

const megabytesPerSecond = (piece: Buffer): number => {
  const stream = mask.open();
  const startedAt = process.hrtime.bigint();
  let told = 0;
  for (let n = 0; n < PIECES; n++) told += stream.write(piece).length;
  told += stream.end().length;
  if (told !== PIECES * piece.length) throw new Error('Bytes were lost, or masked');
  return (told / Number(process.hrtime.bigint() - startedAt)) * 1_000;
};

for (const [name, piece] of Object.entries(OUTPUTS)) {
  const best = Math.max(...Array.from({ length: ROUNDS }, () => megabytesPerSecond(piece)));
  process.stdout.write(`${name.padEnd(24)}${Math.round(best).toString().padStart(6)} MB/s\n`);
}
