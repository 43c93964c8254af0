import { createHash } from 'node:crypto';
import { constants, copyFile, link, mkdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemClock } from '../../machine/system-clock.ts';
import { tenantsOf } from '../../shared/app/tenants-of.ts';
import { vaultNameOf } from '../../shared/app/triggers.ts';
import type { Clock, Instant } from '../../shared/domain/clock.ts';
import { LIMITS } from '../../shared/domain/limits.ts';
import { sealedFileOf } from '../../shared/secrets/sealed-files.ts';
import type { Secret } from '../../shared/secrets/secrets.ts';
import { makePrincipals } from '../../shared/store/principals.ts';
import { makeRecords } from '../../shared/store/records.ts';
import { keys } from '../../shared/store/schema.ts';
import { copyDatabase, inspectDatabase, objectsNamedIn } from '../../shared/store/sqlite/copy-database.ts';
import { sqliteStore } from '../../shared/store/sqlite/sqlite.ts';
import { makeTriggers } from '../../shared/store/triggers.ts';
import { makeWebhooks } from '../../shared/store/webhooks.ts';
import { nameOf } from '../../shared/webhooks/signing-keys.ts';
import type { Manifest } from './manifest.ts';
import { DATABASE, isKey, KEYS, OBJECTS, PLAIN_FILES, SECRETS, STAGE } from './members.ts';

/** All that goes into a backup, in a folder in which nobody changes anything. */
export interface Staged {
  readonly folder: string;
  /** Paths below it. */
  readonly names: readonly string[];
  readonly madeAt: Instant;
  readonly facts: Pick<Manifest, 'commands' | 'unfinished' | 'keys'>;
}

/** Each time something was removed between the copy of the store and the look for its files. */
const MOST_TRIES = 100;
/** One file that so many copies of the store name, and that is never there, was not removed meanwhile: it is lost. */
const MOST_MISSES = 3;

/**
 * Puts together what a data folder is at one instant, beside whoever works on it. First the store: what it names then was there before, and
 * never changes. Then links to those files, in an instant for each, so that they stay until they are read; one that was removed
 * meanwhile, such as the input of a command that has ended, was named by a store that is out of date: then all of it is done again.
 * @throws Error in words for a person
 */
export const stage = async (
  dataDirectory: string,
  { clock, withoutKeys }: { readonly clock: Clock; readonly withoutKeys: boolean },
): Promise<Staged> => {
  const folder = join(dataDirectory, STAGE);
  const misses = new Map<string, number>();
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { mode: 0o700 });
  for (let tries = 1; ; tries++) {
    const madeAt = clock.now();
    const copy = join(folder, DATABASE);
    // The links stay: what was there at the try before cannot be removed any more.
    for (const suffix of ['', '-wal', '-shm']) await rm(`${copy}${suffix}`, { force: true });
    await copyDatabase(join(dataDirectory, DATABASE), copy);
    const plain = await copyPlainFiles(dataDirectory, folder, withoutKeys);
    const objects = new Set(objectsNamedIn(copy));
    const named = [...(await secretFilesIn(copy)), ...Array.from(objects, (key) => `${OBJECTS}/${key}`)];
    const missing = await linkAll(dataDirectory, folder, named);
    if (missing === undefined) {
      const facts = { ...inspectDatabase(copy), keys: await digestKeys(dataDirectory) };
      return { folder, names: [DATABASE, ...plain, ...named], madeAt, facts };
    }
    const missed = (misses.get(missing) ?? 0) + 1;
    misses.set(missing, missed);
    if (missed === MOST_MISSES || tries === MOST_TRIES) {
      throw new Error(
        `${join(dataDirectory, missing)} is missing, though the store names it: the data folder is damaged.`,
      );
    }
  }
};

const copyPlainFiles = async (from: string, to: string, withoutKeys: boolean): Promise<string[]> => {
  const names = PLAIN_FILES.filter((name) => !(withoutKeys && isKey(name)));
  const copied: string[] = [];
  for (const name of names) {
    const isThere = await copyFile(join(from, name), join(to, name)).then(() => true, falseIfMissing);
    if (isThere) copied.push(name);
  }
  return copied;
};

const digestKeys = async (folder: string): Promise<Manifest['keys']> => {
  const digests: Manifest['keys'] = {};
  for (const name of KEYS) {
    const bytes = await readFile(join(folder, name)).catch(falseIfMissing);
    if (bytes) digests[name] = createHash('sha256').update(bytes).digest('hex');
  }
  return digests;
};

/** The present value of each secret, the keys by which webhooks sign, and those by which deliveries to triggers are known. */
const secretFilesIn = async (databaseCopy: string): Promise<string[]> => {
  const store = sqliteStore({ file: databaseCopy });
  try {
    const secrets = makeRecords<Secret>(store);
    const webhooks = makeWebhooks(store, systemClock);
    const triggers = makeTriggers(store);
    const files: string[] = [];
    for await (const tenant of tenantsOf({ principals: makePrincipals(store) })) {
      const found = await secrets.list(keys.secret(tenant, '').pk, { limit: LIMITS.secrets });
      const places = found.map(({ name, value }) => ({ tenant, name, value }));
      for (const { id, keys: kept } of await webhooks.list(tenant, { limit: LIMITS.webhooks })) {
        places.push(...kept.map(({ value }) => ({ tenant, name: nameOf(id), value })));
      }
      for (const { id, secrets: kept } of await triggers.list(tenant, { limit: LIMITS.triggers })) {
        places.push(...kept.map(({ value }) => ({ tenant, name: vaultNameOf(id), value })));
      }
      files.push(...places.map((place) => `${SECRETS}/${sealedFileOf(place)}`));
    }
    return files;
  } finally {
    await store.close();
  }
};

/** The first that is not there any more; undefined when all are linked. */
const linkAll = async (from: string, to: string, names: readonly string[]): Promise<string | undefined> => {
  const folders = new Set(names.map((name) => dirname(join(to, name))));
  for (const folder of folders) await mkdir(folder, { recursive: true, mode: 0o700 });
  let missing: string | undefined;
  for (const name of names) {
    if (!(await linkOne(join(from, name), join(to, name)))) missing ??= name;
  }
  return missing;
};

/** File systems without links, and those with too many. */
const CANNOT_LINK = ['EPERM', 'EXDEV', 'EMLINK', 'ENOTSUP', 'ENOSYS'];

const linkOne = async (from: string, to: string): Promise<boolean> => {
  // Of the try before: what it is a link to never changes.
  if (await stat(to).then(() => true, falseIfMissing)) return true;
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (!CANNOT_LINK.includes((error as NodeJS.ErrnoException).code ?? '')) return falseIfMissing(error);
    return copyFile(from, to, constants.COPYFILE_FICLONE).then(() => true, falseIfMissing);
  }
};

const falseIfMissing = (error: unknown): false => {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
  throw error;
};

/** @throws Error in words for a person when there is no data folder at that place */
export const requireDataFolder = async (dataDirectory: string): Promise<void> => {
  const isThere = await stat(join(dataDirectory, DATABASE)).then((stats) => stats.isFile(), falseIfMissing);
  if (!isThere) throw new Error(`${dataDirectory} is no data folder of Errand. Say which one is, with --data.`);
};
