import { isTenantId } from '../../shared/domain/ids.ts';
import { isObjectKey } from '../../shared/objects/objects.ts';

/** The store, of which there is a copy as of one instant. */
export const DATABASE = 'errand.db';
export const OBJECTS = 'objects';
export const SECRETS = 'secrets';
/** Whoever has them can do, read and sign all that the installation can. */
export const KEYS = ['owner.key', 'vault.key', 'audit.key'] as const;
/** By what name it marks its runs at providers: a copy of it must not take those for its own. */
export const INSTALLATION = 'installation';
const SETTINGS = ['targets.json', 'access.json'] as const;
/** Files of a data folder that are kept as they are, where they are there. */
export const PLAIN_FILES: readonly string[] = [...SETTINGS, INSTALLATION, ...KEYS];

/** Where a backup is put together; on the data folder's disk, so that what is in it can be linked. */
export const STAGE = '.backup';
export const BACKUP_LOCK = 'backup.lock';

/** What else there is in a data folder, and is of no use in another: locks, work folders, what SQLite makes of its own accord. */
export const LEFT_OUT: readonly string[] = [
  `${DATABASE}-wal`,
  `${DATABASE}-shm`,
  `${DATABASE}.made`,
  'work',
  'workers',
  'server.lock',
  'server.lock.json',
  BACKUP_LOCK,
  STAGE,
];

export const isKey = (name: string): boolean => (KEYS as readonly string[]).includes(name);

/** Whether a data folder can have a file of this name that is backed up: none leads out of it, and none is a surprise. */
export const isMember = (name: string): boolean => {
  if (name === DATABASE || PLAIN_FILES.includes(name)) return true;
  const [folder, ...rest] = name.split('/');
  if (folder === OBJECTS) return isObjectKey(rest.join('/'));
  const [tenant = '', file = '', ...more] = rest;
  return folder === SECRETS && isTenantId(tenant) && /^([0-9a-f]{2})+\.[0-9a-f]{32}$/.test(file) && more.length === 0;
};
