import { createHash, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** The text with a CRC-32 of it at its end. */
export const withChecksum = (body: string): string => body + checksum(body);

/** Whether it ends with the checksum of what is before. */
export const isWhole = (text: string): boolean => text.slice(-8) === checksum(text.slice(0, -8));

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0');

/** Of a random text of 128 bits or more a plain digest is enough: there is nothing to guess from (no password hash is needed). */
export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** In constant time. */
export const hasHash = (text: string, hash: string): boolean =>
  timingSafeEqual(Buffer.from(hashOf(text), 'hex'), Buffer.from(hash, 'hex'));
