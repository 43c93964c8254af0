import { crc32 } from 'node:zlib';

/*
 * application/vnd.amazon.eventstream, written down here once more and not borrowed from the SDK that it is to be read by:
 * total length, length of the headers, CRC of both; headers; payload; CRC of all. Big-endian.
 */

const STRING = 7;

const header = (name: string, value: string): Buffer => {
  const [nameBytes, valueBytes] = [Buffer.from(name), Buffer.from(value)];
  const type = Buffer.alloc(3);
  type.writeUInt8(STRING, 0);
  type.writeUInt16BE(valueBytes.length, 1);
  return Buffer.concat([Buffer.from([nameBytes.length]), nameBytes, type, valueBytes]);
};

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};

const message = (headers: Readonly<Record<string, string>>, payload: Uint8Array): Buffer => {
  const head = Buffer.concat(Object.entries(headers).map(([name, value]) => header(name, value)));
  const prelude = Buffer.concat([uint32(16 + head.length + payload.length), uint32(head.length)]);
  const body = Buffer.concat([prelude, uint32(crc32(prelude)), head, payload]);
  return Buffer.concat([body, uint32(crc32(body))]);
};

export const payloadChunk = (payload: Uint8Array): Buffer =>
  message(
    { ':message-type': 'event', ':event-type': 'PayloadChunk', ':content-type': 'application/octet-stream' },
    payload,
  );

export interface InvokeComplete {
  readonly ErrorCode?: string;
  readonly ErrorDetails?: string;
  readonly LogResult?: string;
}

export const invokeComplete = (complete: InvokeComplete): Buffer =>
  message(
    { ':message-type': 'event', ':event-type': 'InvokeComplete', ':content-type': 'application/json' },
    Buffer.from(JSON.stringify(complete)),
  );
