import { createCipheriv, createDecipheriv } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Random } from '../domain/clock.ts';
import { guarded, guardedFor, SealBroken, type SecretPlace, type Vault } from './vault.ts';

export interface SealedFilesOptions {
  readonly directory: string;
  /** 32 bytes; asked for when it is needed, so that it is made with the first secret. */
  readonly key: () => Uint8Array;
  readonly random: Random;
  /** Who writes: of those who are gone, what they left half written is removed. @default nobody can tell who is gone */
  readonly writer?: { readonly name: string; isAlive(name: string): boolean };
}

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const DRAFT = '.draft';
const UNKNOWN = { name: 'unknown', isAlive: () => true };

/**
 * A file for each value: a random nonce, the tag, and what AES-256-GCM makes of it (NIST SP 800-38D). Its place is sealed with
 * it, so that a file which was renamed into the place of another does not open.
 */
export const sealedFiles = ({ directory, key, random, writer = UNKNOWN }: SealedFilesOptions): Vault => {
  /** The folders whose way here is synced, and in which nothing is left of writers that are gone. */
  const prepared = new Set<string>();
  const folderOf = ({ tenant }: Pick<SecretPlace, 'tenant'>): string => join(directory, tenant);
  const pathOf = (place: SecretPlace): string => join(directory, sealedFileOf(place));

  const prepare = async (folder: string): Promise<void> => {
    await removeDrafts(folder, writer.isAlive);
    for (const above of [directory, dirname(directory)]) await syncFolder(above);
    prepared.add(folder);
  };

  return {
    async put(place, bytes) {
      const sealed = seal(key(), place, bytes, Buffer.from(random.hex(NONCE_BYTES), 'hex'));
      const path = pathOf(place);
      const draft = `${path}.${writer.name}${DRAFT}`;
      await guarded(place, async () => {
        await mkdir(folderOf(place), { recursive: true, mode: 0o700 });
        try {
          await using file = await open(draft, 'wx', 0o600);
          await file.writeFile(sealed);
          await file.sync();
        } catch (error) {
          await rm(draft, { force: true });
          throw error;
        }
        await rename(draft, path);
        await syncFolder(folderOf(place));
        if (!prepared.has(folderOf(place))) await prepare(folderOf(place));
      });
    },

    async get(place) {
      const sealed = await guarded(place, () => readFile(pathOf(place)).catch(undefinedIfMissing));
      return sealed && unseal(key(), place, sealed);
    },

    drop: (place) => guarded(place, () => rm(pathOf(place), { force: true })),

    remove: (secret) =>
      guarded(secret, async () => {
        const files = (await readdir(folderOf(secret)).catch(undefinedIfMissing)) ?? [];
        const own = files.filter((file) => file.startsWith(prefixOf(secret)));
        for (const file of own) await rm(join(folderOf(secret), file), { force: true });
      }),

    removeAll: (tenant) =>
      guardedFor(`the secrets of ${tenant}`, () => {
        prepared.delete(folderOf({ tenant }));
        return rm(folderOf({ tenant }), { recursive: true, force: true });
      }),
  };
};

/** Where a value is, below the vault's folder. */
export const sealedFileOf = (place: SecretPlace): string => join(place.tenant, `${prefixOf(place)}${place.value}`);

/** In hex, since file systems may not tell `a` from `A`. */
const prefixOf = ({ name }: Pick<SecretPlace, 'name'>): string => `${Buffer.from(name).toString('hex')}.`;

/** What the seal vouches for besides the value itself. */
const placeBytes = ({ tenant, name, value }: SecretPlace): Buffer => Buffer.from(JSON.stringify([tenant, name, value]));

const seal = (key: Uint8Array, place: SecretPlace, bytes: Uint8Array, nonce: Buffer): Buffer => {
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES }).setAAD(placeBytes(place));
  const body = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), body]);
};

const unseal = (key: Uint8Array, place: SecretPlace, sealed: Buffer): Uint8Array => {
  try {
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const tag = sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
    const cipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
      .setAAD(placeBytes(place))
      .setAuthTag(tag);
    return Buffer.concat([cipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), cipher.final()]);
  } catch (cause) {
    throw new SealBroken(`The value of the secret ${place.name} cannot be opened.`, { cause });
  }
};

const removeDrafts = async (folder: string, isAlive: (writer: string) => boolean): Promise<void> => {
  for (const name of await readdir(folder)) {
    const writer = name.endsWith(DRAFT) ? name.slice(0, -DRAFT.length).split('.').at(-1) : undefined;
    if (writer !== undefined && !isAlive(writer)) await rm(join(folder, name), { force: true });
  }
};

/** A name is durable only once its folder is. */
const syncFolder = async (path: string): Promise<void> => {
  await using folder = await open(path, 'r');
  await folder.sync();
};

const undefinedIfMissing = (error: unknown): undefined => {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
  throw error;
};
