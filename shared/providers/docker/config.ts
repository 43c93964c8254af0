import * as z from 'zod';
import type { ProviderFeatures } from '../provider.ts';

const path = z.string().regex(/^\/[^\0]*$/, 'must be an absolute path');
const image = z
  .string()
  .max(512)
  .regex(
    /^[a-zA-Z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?$/,
    'must be an image such as alpine:3.21 or registry.example/tool@sha256:…',
  );

/** A daemon that speaks Docker's API, and how containers are made there. */
export const DockerConfig = z
  .strictObject({
    /** @default that of DOCKER_HOST, else /var/run/docker.sock */
    socketPath: path.exactOptional(),
    /** A daemon on another machine, which knows this process by a certificate. Whoever holds it is root there. */
    tls: z
      .strictObject({
        host: z.string().regex(/^[\w.-]+$/, 'must be the name of a host'),
        port: z.int().min(1).max(65_535).default(2_376),
        caFile: path,
        certFile: path,
        keyFile: path,
      })
      .exactOptional(),
    /** For commands that name none. */
    image,
    /** What else commands may name; `*` stands for anything but `/`. @default no other image */
    images: z.array(z.string().min(1).max(512)).max(100).default([]),
    /** When an image is asked of its registry. */
    pull: z.enum(['missing', 'always', 'never']).default('missing'),
    /** Docker's own `config.json` with what signs in to registries, read when an image is pulled. Its helpers are not run. */
    registryAuthFile: path.exactOptional(),
    /** Whom commands run as, whatever the image says. */
    user: z
      .string()
      .regex(/^\d{1,10}:\d{1,10}$/, 'must be the numbers of a user and a group, such as 65534:65534')
      .default('65534:65534'),
    /** `none`, `bridge`, or a network of the daemon. */
    network: z
      .string()
      .regex(/^[a-zA-Z0-9][\w.-]*$/, 'must be none, bridge or the name of a network')
      .refine((name) => name !== 'host' && name !== 'container', {
        error: 'would put commands into the network of the machine',
      })
      .default('none'),
    /** Whether commands may write to /tmp and their own folder only. */
    readOnly: z.boolean().default(true),
    /** How much fits into /tmp and as much into a command's own folder. It counts as memory. */
    tmpMiB: z.int().min(1).max(65_536).default(256),
    /** For commands that ask for none. */
    cpu: z.number().min(0.01).max(1_024).default(1),
    memoryMiB: z.int().min(6).default(512),
    /** The most that a command may ask for. @default what the daemon's machine has */
    maxCpu: z.number().min(0.01).exactOptional(),
    maxMemoryMiB: z.int().min(6).exactOptional(),
    /** Processes and threads of one command. */
    pids: z.int().min(8).max(1_048_576).default(256),
    /** Limits of each process by their names in limits.conf(5). */
    ulimits: z
      .record(z.string().regex(/^[a-z]{2,16}$/), z.int().min(0))
      .default({})
      .transform((own) => ({ nofile: 4_096, core: 0, ...own })),
    /** Between TERM and KILL. */
    graceSeconds: z.number().min(0).max(600).default(5),
  })
  .refine(({ socketPath, tls }) => socketPath === undefined || tls === undefined, {
    path: ['tls'],
    error: 'and socketPath are two daemons: name one',
  });
export type DockerConfig = z.infer<typeof DockerConfig>;

/** What a container of a run is made with, and what may be asked of it. */
export const dockerFeatures = ({ images }: Pick<DockerConfig, 'images'>): ProviderFeatures => ({
  mode: 'inline',
  runner: 'in-process',
  startTicket: true,
  startSeconds: 60,
  // When its removal fails.
  leavesBehind: true,
  liveOutput: true,
  separateStreams: true,
  stdin: true,
  signals: true,
  // The end of its first process is the end of all that is in a container.
  cancel: 'tree',
  customImage: images.length > 0,
  resourceLimits: true,
  isolation: ['container'],
  longestTimeoutSeconds: 7 * 24 * 3_600,
});
