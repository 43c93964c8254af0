import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { onTestFinished } from 'vitest';
import { listenLocally } from '../listen-locally.ts';

interface Registry {
  /** Its one image. */
  readonly image: string;
  /** What was asked for by whoever had signed in. */
  readonly asked: readonly string[];
  /** Answers to none are given before this resolves. */
  hold(until: Promise<void>): void;
}

const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A registry of one image, `tool:1`, that only `me` with the password `secret` may pull, until the test ends. */
export const openRegistry = async (layer: Buffer): Promise<Registry> => {
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
    }),
  );
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
  const part = (type: string, bytes: Buffer) => ({ mediaType: type, size: bytes.length, digest: digestOf(bytes) });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: part('application/vnd.docker.container.image.v1+json', config),
      layers: [part('application/vnd.docker.image.rootfs.diff.tar', layer)],
    }),
  );
  const blobs = new Map([config, layer].map((bytes) => [`/v2/tool/blobs/${digestOf(bytes)}`, bytes]));
  const asked: string[] = [];
  let held = Promise.resolve();
  const server = createServer(async ({ url = '', method, headers }, reply) => {
    await held;
    const isKnown = headers.authorization === `Basic ${Buffer.from('me:secret').toString('base64')}`;
    if (!isKnown) return void reply.writeHead(401, { 'www-authenticate': 'Basic realm="tool"' }).end();
    asked.push(url);
    const isManifest = url.startsWith('/v2/tool/manifests/');
    const bytes = isManifest ? manifest : url === '/v2/' ? Buffer.from('{}') : blobs.get(url);
    if (!bytes) return void reply.writeHead(404).end();
    const type = isManifest ? mediaType : 'application/octet-stream';
    const about = { 'content-type': type, 'content-length': bytes.length, 'docker-content-digest': digestOf(bytes) };
    reply.writeHead(200, about).end(method === 'HEAD' ? undefined : bytes);
  });
  const { url, close } = await listenLocally(server);
  onTestFinished(close);
  return {
    image: `${new URL(url).host}/tool:1`,
    asked,
    hold(until) {
      held = until;
    },
  };
};
