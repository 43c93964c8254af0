/**
 * The database's whole history: a database at version n (PRAGMA user_version) has had the first n of these.
 * Add to the end; never change one that was released.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE items (
    pk TEXT NOT NULL,
    sk TEXT NOT NULL,
    version INTEGER NOT NULL,
    data TEXT NOT NULL,
    bytes BLOB,
    due_pk TEXT,
    due_sk TEXT,
    list_pk TEXT,
    list_sk TEXT,
    expires_at INTEGER
  ) STRICT;
  CREATE UNIQUE INDEX items_by_key ON items (pk, sk);
  CREATE INDEX items_due ON items (due_pk, due_sk) WHERE due_pk IS NOT NULL;
  CREATE INDEX items_list ON items (list_pk, list_sk) WHERE list_pk IS NOT NULL;
  CREATE INDEX items_expiring ON items (expires_at) WHERE expires_at IS NOT NULL;
  `,
];
