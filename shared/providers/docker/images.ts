import { readFile } from 'node:fs/promises';
import type { Clock } from '../../domain/clock.ts';
import type { ProviderFault } from '../provider.ts';
import type { DockerConfig } from './config.ts';
import type { Daemon } from './daemon.ts';
import { plainMessage, toFault } from './faults.ts';

/** Whether commands may run in an image. What is compared is what the daemon is told, letter by letter. */
export const isAllowed = ({ image, images }: Pick<DockerConfig, 'image' | 'images'>, asked: string): boolean =>
  asked === image || images.some((pattern) => toExpression(pattern).test(asked));

const toExpression = (pattern: string): RegExp => new RegExp(`^${pattern.split('*').map(literally).join('[^/]*')}$`);

const literally = (text: string): string => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&');

/** The repository and what is asked for of it. Without a tag a daemon would pull all there are. */
export const splitImage = (image: string): { readonly repository: string; readonly tag: string } => {
  const at = image.indexOf('@');
  if (at >= 0) return { repository: image.slice(0, at), tag: image.slice(at + 1) };
  const colon = image.lastIndexOf(':');
  // A colon before a slash is a port's.
  if (colon > image.lastIndexOf('/')) return { repository: image.slice(0, colon), tag: image.slice(colon + 1) };
  return { repository: image, tag: 'latest' };
};

/** As Docker tells them apart: a first part without a dot, a colon or the name localhost is of Docker Hub. */
export const registryOf = (image: string): string => {
  const [first = '', ...rest] = image.split('/');
  return rest.length > 0 && /[.:]|^localhost$/.test(first) ? first : 'docker.io';
};

const HUB_NAMES = ['https://index.docker.io/v1/', 'index.docker.io', 'docker.io'];

/** What signs in to an image's registry, as Docker's `config.json` has it; undefined when it has nothing for it. */
export const registryAuth = (configJson: string, image: string): { username: string; password: string } | undefined => {
  const { auths = {} } = JSON.parse(configJson) as { auths?: Record<string, { auth?: string }> };
  const registry = registryOf(image);
  const names = registry === 'docker.io' ? HUB_NAMES : [registry, `https://${registry}`, `https://${registry}/v1/`];
  const auth = names.map((name) => auths[name]?.auth).find((found) => found !== undefined);
  if (auth === undefined) return undefined;
  const [username = '', ...password] = Buffer.from(auth, 'base64').toString('utf8').split(':');
  return { username, password: password.join(':') };
};

/** A start has to redeem its ticket within a minute; a pull goes on without it. */
const PULL_PATIENCE_MS = 40_000;
/** A registry that says nothing for so long is given up. */
const LONGEST_PULL_MS = 30 * 60_000;
const ASK_AGAIN_SECONDS = 5;

/** Pulls images, each once however many wait for it. */
export interface Images {
  /** @returns why the image is not there yet, or will not be */
  pull(image: string): Promise<ProviderFault | undefined>;
}

export const makeImages = (
  { registryAuthFile }: Pick<DockerConfig, 'registryAuthFile'>,
  { daemon, clock }: { daemon: Daemon; clock: Clock },
): Images => {
  const pulls = new Map<string, Promise<ProviderFault | undefined>>();
  const pullNow = async (image: string): Promise<ProviderFault | undefined> => {
    try {
      const auth =
        registryAuthFile === undefined ? undefined : registryAuth(await readFile(registryAuthFile, 'utf8'), image);
      const { repository, tag } = splitImage(image);
      await daemon.pull({ repository, tag, auth, forMs: LONGEST_PULL_MS });
      return undefined;
    } catch (error) {
      const { detail, retryable } = toFault(error) ?? { detail: plainMessage(error), retryable: true };
      return { detail: `The image ${image} cannot be pulled: ${detail}`, retryable };
    }
  };
  return {
    async pull(image) {
      const pulling = pulls.get(image) ?? pullNow(image).finally(() => pulls.delete(image));
      pulls.set(image, pulling);
      const done = new AbortController();
      const late = clock.sleep(PULL_PATIENCE_MS, done.signal).then(
        (): ProviderFault => ({
          detail: `The image ${image} is still being pulled.`,
          retryable: true,
          retryAfterSeconds: ASK_AGAIN_SECONDS,
        }),
      );
      return Promise.race([pulling, late]).finally(() => done.abort());
    },
  };
};
