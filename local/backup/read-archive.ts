import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { createTarDecoder } from 'modern-tar';
import { HEAD, type Head, MANIFEST, type Manifest, parseHead, parseManifest } from './manifest.ts';
import { isMember } from './members.ts';

/** Takes the bytes of one member, in order, to their end. */
export type TakeMember = (name: string, body: AsyncIterable<Uint8Array>) => Promise<void>;

export interface ReadArchive {
  readonly head: Head;
  readonly manifest: Manifest;
}

/** What is read into memory at once. */
const MOST_TEXT_BYTES = 1024 ** 3;

/**
 * Reads a backup once, from the front, and hands over each member. Only when it resolves was all of it there, as it was written: nothing that
 * was handed over may be used before.
 * @param whose names the archive, for a person
 * @throws Error in words for a person: not a backup, of a newer format, cut, changed, or with anything in it that no backup has
 */
export const readArchive = async (source: Readable, whose: string, take: TakeMember): Promise<ReadArchive> => {
  const seen = new Map<string, Seen>();
  let head: Head | undefined;
  let manifest: Manifest | undefined;
  try {
    const entries = (Readable.toWeb(source) as ReadableStream<Uint8Array<ArrayBuffer>>).pipeThrough(
      createTarDecoder({ strict: true }),
    );
    for await (const { header, body } of entries) {
      const { name, type, size } = header;
      // Only plain files: a link would lead out of the folder, and nothing else has bytes.
      if (type !== undefined && type !== 'file')
        throw new Error(`It holds ${named(name)}, a ${type}, which no backup does.`);
      if (manifest) throw new Error(`It holds ${named(name)} after its end, which no backup does.`);
      if (!head) {
        if (name !== HEAD) throw new Error(`It is no backup of Errand: it begins with ${named(name)}, not ${HEAD}.`);
        head = parseHead(await textOf(body, size));
      } else if (name === MANIFEST) {
        manifest = parseManifest(await textOf(body, size));
      } else {
        if (!isMember(name)) throw new Error(`It holds ${named(name)}, which no data folder has.`);
        if (seen.has(name)) throw new Error(`It holds ${named(name)} twice.`);
        const digested = digest(body);
        await take(name, digested.body);
        seen.set(name, digested.seen());
      }
    }
    if (!head) throw new Error('It is empty.');
    if (!manifest) throw new Error('It ends too early: it was cut, or is not finished.');
    compare(manifest, seen);
    return { head, manifest };
  } catch (error) {
    throw new Error(`${whose} cannot be used. ${asSentence((error as Error).message)}`, { cause: error });
  } finally {
    source.destroy();
  }
};

interface Seen {
  readonly bytes: number;
  readonly sha256: string;
}

const digest = (source: AsyncIterable<Uint8Array>) => {
  const hash = createHash('sha256');
  let bytes = 0;
  return {
    body: (async function* () {
      for await (const piece of source) {
        hash.update(piece);
        bytes += piece.length;
        yield piece;
      }
    })(),
    seen: (): Seen => ({ bytes, sha256: hash.digest('hex') }),
  };
};

const textOf = async (body: AsyncIterable<Uint8Array>, size: number): Promise<string> => {
  if (size > MOST_TEXT_BYTES) throw new Error(`What it says of itself takes ${size} bytes, more than any backup's.`);
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
};

const compare = ({ members }: Manifest, seen: ReadonlyMap<string, Seen>): void => {
  const unnamed = new Set(seen.keys());
  for (const { name, bytes, sha256 } of members) {
    const found = seen.get(name);
    if (!found || !unnamed.delete(name)) throw new Error(`Its ${MANIFEST} names ${named(name)}, which is not in it.`);
    if (found.bytes !== bytes || found.sha256 !== sha256)
      throw new Error(`${named(name)} is not what was written: it is damaged.`);
  }
  const [extra] = unnamed;
  if (extra !== undefined) throw new Error(`It holds ${named(extra)}, which its ${MANIFEST} does not name.`);
};

/** Whatever it is, in a message. */
const named = (name: string): string => JSON.stringify(name.slice(0, 255));

const asSentence = (message: string): string => (message.endsWith('.') ? message : `${message}.`);
