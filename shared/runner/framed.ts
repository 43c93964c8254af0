import type { EndHead, OutputHead } from '../contract/runner.ts';

/** A body of a JSON head and exact bytes: the head's length in 4 bytes, big-endian; the head; the bytes. */
export const encodeFramed = (head: OutputHead | EndHead, bytes: Uint8Array): Uint8Array => {
  const json = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json, bytes]);
};

/** Undefined when it is no such body. */
export const decodeFramed = (body: Uint8Array): { readonly head: unknown; readonly bytes: Uint8Array } | undefined => {
  if (body.length < 4) return undefined;
  const end = 4 + Buffer.from(body.buffer, body.byteOffset, 4).readUInt32BE(0);
  if (end > body.length) return undefined;
  try {
    const head: unknown = JSON.parse(
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body.subarray(4, end)),
    );
    return { head, bytes: body.subarray(end) };
  } catch {
    return undefined;
  }
};
