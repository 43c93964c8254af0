import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createTarPacker } from 'modern-tar';
import { toTimestamp } from '../../shared/domain/clock.ts';
import { FORMAT, HEAD, type Head, MANIFEST, type Manifest, type Member } from './manifest.ts';
import type { Staged } from './stage.ts';

const READ_BYTES = 256 * 1024;

/**
 * Writes what is staged as one tar archive (POSIX.1-2001, pax): what it is, the files, and at last the manifest with all their digests, so that
 * it takes one pass and a cut archive is known for one. Ends `sink`.
 */
export const writeArchive = async (staged: Staged, errand: string, sink: Writable): Promise<Manifest> => {
  const { readable, controller } = createTarPacker();
  const mtime = new Date(staged.madeAt);
  const header = (name: string, size: number) => ({ name, size, mode: 0o600, mtime, uid: 0, gid: 0 });
  const addText = async (name: string, text: string): Promise<void> => {
    const bytes = Buffer.from(text);
    const writer = controller.add(header(name, bytes.length)).getWriter();
    await writer.write(toPlainBytes(bytes));
    await writer.close();
  };
  const addFile = async (name: string): Promise<Member> => {
    const path = join(staged.folder, name);
    const { size: bytes } = await stat(path);
    const hash = createHash('sha256');
    const writer = controller.add(header(name, bytes)).getWriter();
    for await (const piece of createReadStream(path, { highWaterMark: READ_BYTES })) {
      hash.update(piece);
      await writer.write(toPlainBytes(piece));
    }
    await writer.close();
    return { name, bytes, sha256: hash.digest('hex') };
  };
  const fill = async (): Promise<Manifest> => {
    const head: Head = { format: FORMAT, errand, madeAt: toTimestamp(staged.madeAt) };
    await addText(HEAD, JSON.stringify(head));
    const members: Member[] = [];
    for (const name of staged.names) members.push(await addFile(name));
    const manifest: Manifest = { ...staged.facts, members };
    await addText(MANIFEST, JSON.stringify(manifest));
    controller.finalize();
    return manifest;
  };
  const [manifest] = await Promise.all([
    fill().catch((error: unknown) => {
      controller.error(error as Error);
      throw error;
    }),
    pipeline(Readable.fromWeb(readable as import('node:stream/web').ReadableStream), sink),
  ]);
  return manifest;
};

/** The packer takes no subclass of it. */
const toPlainBytes = ({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  new Uint8Array(buffer, byteOffset, length);
