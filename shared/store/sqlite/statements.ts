import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import type { Instant } from '../../domain/clock.ts';
import type { IndexName, Item, Range } from '../store.ts';

type Row = Record<string, SQLOutputValue>;

/** The database's statements, each compiled once. */
export interface Statements {
  get(pk: string, sk: string): Item | undefined;
  /** 0 when nothing is there. */
  versionOf(pk: string, sk: string): number;
  put(item: Item, isNew: boolean): void;
  remove(pk: string, sk: string): void;
  /** By the items' own key, or by an index (without `bytes`). */
  query(by: 'key' | IndexName, pk: string, range: Range): Item[];
  removeExpired(now: Instant): void;
  release(): void;
}

const WITHOUT_BYTES = 'pk, sk, version, data, due_pk, due_sk, list_pk, list_sk, expires_at';
const COLUMNS = { key: ['pk', 'sk'], due: ['due_pk', 'due_sk'], list: ['list_pk', 'list_sk'] } as const;
/** Sorts after every key that is well-formed text. */
const LAST = '\u{10ffff}';

export const prepareStatements = (database: DatabaseSync): Statements => {
  const get = database.prepare('SELECT * FROM items WHERE pk = ? AND sk = ?');
  const version = database.prepare('SELECT version FROM items WHERE pk = ? AND sk = ?');
  const insert = database.prepare(
    `INSERT INTO items (version, data, bytes, due_pk, due_sk, list_pk, list_sk, expires_at, pk, sk)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const update = database.prepare(
    `UPDATE items SET version = ?, data = ?, bytes = ?, due_pk = ?, due_sk = ?, list_pk = ?, list_sk = ?, expires_at = ?
     WHERE pk = ? AND sk = ?`,
  );
  const remove = database.prepare('DELETE FROM items WHERE pk = ? AND sk = ?');
  const removeExpired = database.prepare('DELETE FROM items WHERE expires_at <= ?');
  const queries = new Map<string, StatementSync>();

  const query = (by: keyof typeof COLUMNS, reverse: boolean): StatementSync => {
    const [pk, sk] = COLUMNS[by];
    const order = reverse ? 'DESC' : 'ASC';
    const sql =
      `SELECT ${by === 'key' ? '*' : WITHOUT_BYTES} FROM items ` +
      `WHERE ${pk} = ? AND ${sk} >= ? AND ${sk} <= ? ORDER BY ${sk} ${order} LIMIT ?`;
    const prepared = queries.get(sql) ?? database.prepare(sql);
    queries.set(sql, prepared);
    return prepared;
  };

  return {
    get: (pk, sk) => toItem(get.get(pk, sk)),
    versionOf: (pk, sk) => Number(version.get(pk, sk)?.['version'] ?? 0),
    put(item, isNew) {
      const { pk, sk, data, bytes, due, list, expiresAt } = item;
      (isNew ? insert : update).run(
        item.version,
        JSON.stringify(data),
        bytes ?? null,
        due?.pk ?? null,
        due?.sk ?? null,
        list?.pk ?? null,
        list?.sk ?? null,
        expiresAt ?? null,
        pk,
        sk,
      );
    },
    remove: (pk, sk) => void remove.run(pk, sk),
    query: (by, pk, { from = '', to = LAST, limit, reverse = false }) =>
      query(by, reverse)
        .all(pk, from, to, limit)
        .flatMap((row) => toItem(row) ?? []),
    removeExpired: (now) => void removeExpired.run(now),
    release: () => queries.clear(),
  };
};

const toItem = (row: Row | undefined): Item | undefined =>
  row && {
    pk: row['pk'] as string,
    sk: row['sk'] as string,
    version: row['version'] as number,
    data: JSON.parse(row['data'] as string),
    ...(row['bytes'] ? { bytes: row['bytes'] as Uint8Array } : {}),
    ...(row['due_pk'] === null ? {} : { due: { pk: row['due_pk'] as string, sk: row['due_sk'] as string } }),
    ...(row['list_pk'] === null ? {} : { list: { pk: row['list_pk'] as string, sk: row['list_sk'] as string } }),
    ...(row['expires_at'] === null ? {} : { expiresAt: row['expires_at'] as number }),
  };
