import { createHash, randomInt } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { makeClient } from '../../clients/sdk/client.ts';

export interface ReadersOptions {
  readonly url: string;
  readonly readers: number;
  /** That they follow, shared out evenly. */
  readonly commands: number;
  /** Of each command, over some seconds. */
  readonly bytes: number;
  /** A connection is cut after so many bytes, at a random one before. */
  readonly cutBytes: number;
}

export interface ReadersFigures {
  /** Connections that were cut in the midst. */
  readonly cuts: number;
  readonly megabytesPerSecond: number;
  /** Readers whose bytes are not those that are stored. */
  readonly wrong: number;
}

const SLICES = 40;
/** Every fourth reader rests after each event. */
const SLOW = 4;
const SLOW_MS = 2;

/** Live readers, slow ones among them, whose connections break at random bytes. Each must have every byte once, in order. */
export const readAlong = async (options: ReadersOptions): Promise<ReadersFigures> => {
  const { url, readers, commands, bytes } = options;
  const client = makeClient({ url });
  const slice = Math.ceil(bytes / SLICES);
  const script = `i=0; while [ $i -lt ${SLICES} ]; do head -c ${slice} /dev/urandom; i=$((i+1)); sleep 0.05; done`;
  const ids: string[] = [];
  for (let n = 0; n < commands; n++) ids.push((await client.submit({ script })).id);
  const cutter = cuttingFetch(options.cutBytes);
  const began = performance.now();
  const digests = await Promise.all(
    Array.from({ length: readers }, (_, n) => follow(cutter.fetch, url, ids[n % commands] as string, n % SLOW === 0)),
  );
  const seconds = (performance.now() - began) / 1_000;
  const stored = await Promise.all(ids.map(async (id) => digestOf((await client.readOutput(id)).body)));
  return {
    cuts: cutter.cuts(),
    megabytesPerSecond: (readers * slice * SLICES) / 1e6 / seconds,
    wrong: digests.filter((digest, n) => digest !== stored[n % commands]).length,
  };
};

const follow = async (fetch: typeof globalThis.fetch, url: string, id: string, isSlow: boolean): Promise<string> => {
  // Whoever is cut off comes again at once: what is tried is the server, not the client's patience.
  const client = makeClient({ url, fetch, sleep: async () => {} });
  const hash = createHash('sha256');
  for await (const event of client.follow(id)) {
    if (event.type === 'stdout') hash.update(event.bytes);
    if (isSlow) await wait(SLOW_MS);
  }
  return hash.digest('hex');
};

const digestOf = async (body: AsyncIterable<Uint8Array>): Promise<string> => {
  const hash = createHash('sha256');
  for await (const piece of body) hash.update(piece);
  return hash.digest('hex');
};

/** `fetch` whose live answers break off, most of them in the middle of an event. */
const cuttingFetch = (mostBytes: number) => {
  let cuts = 0;
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const response = await globalThis.fetch(input, init);
    if (!response.headers.get('content-type')?.startsWith('text/event-stream') || !response.body) return response;
    let left = randomInt(1, mostBytes);
    const broken = new TransformStream<Uint8Array, Uint8Array>({
      transform(piece, controller) {
        if (piece.length < left) {
          left -= piece.length;
          controller.enqueue(piece);
          return;
        }
        controller.enqueue(piece.subarray(0, left));
        cuts++;
        controller.error(new TypeError('cut off'));
      },
    });
    const { status, headers } = response;
    return new Response(response.body.pipeThrough(broken), { status, headers });
  };
  return { fetch, cuts: () => cuts };
};
