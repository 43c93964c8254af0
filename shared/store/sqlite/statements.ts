import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';
import type { Instant } from '../../domain/clock.ts';
import type { IndexEntry, IndexName, Item, Range, Write, Written } from '../store.ts';

/** A write as the statements take it. Made ahead of the transaction, so that others wait for less. */
export interface PreparedWrite {
  readonly pk: string;
  readonly sk: string;
  /** Absent, with no `check` either: the item is removed. */
  readonly put?: { readonly ifVersion: number; readonly values: readonly SQLInputValue[] } | undefined;
  /** Only looked at. */
  readonly check?: { readonly ifVersion: number } | undefined;
}

/** The database's statements, each compiled once. */
export interface Statements {
  get(pk: string, sk: string): Item | undefined;
  /** Applies one write set within the open transaction if all its conditions hold; otherwise it touches nothing. */
  apply(writes: readonly PreparedWrite[]): Written;
  query(pk: string, range: Range): Item[];
  queryIndex(index: IndexName, pk: string, range: Range): IndexEntry[];
  /** Resolves with how many were removed, at most `limit`. */
  removeExpired(now: Instant, limit: number): number;
}

const KEY_COLUMNS = { key: ['pk', 'sk'], due: ['due_pk', 'due_sk'], list: ['list_pk', 'list_sk'] } as const;
/** Sorts after every sort key: the last code point is no character. */
const LAST = '\u{10ffff}';

/** @throws TypeError when the data is no JSON */
export const prepareWrite = (write: Write): PreparedWrite => {
  if ('remove' in write) return { pk: write.remove.pk, sk: write.remove.sk };
  if ('check' in write) return { pk: write.check.pk, sk: write.check.sk, check: { ifVersion: write.ifVersion } };
  const { pk, sk, version, data, bytes, due, list, expiresAt } = write.put;
  const json: string | undefined = JSON.stringify(data);
  if (json === undefined) throw new TypeError(`The data of ${pk} ${sk} is no JSON`);
  const indexed = [due?.pk ?? null, due?.sk ?? null, list?.pk ?? null, list?.sk ?? null];
  const values = [version, json, bytes ?? null, ...indexed, expiresAt ?? null, pk, sk];
  return { pk, sk, put: { ifVersion: write.ifVersion, values } };
};

export const prepareStatements = (database: DatabaseSync): Statements => {
  const get = database.prepare('SELECT * FROM items WHERE pk = ? AND sk = ?');
  const version = database.prepare('SELECT version FROM items WHERE pk = ? AND sk = ?');
  const insert = database.prepare(
    `INSERT INTO items (version, data, bytes, due_pk, due_sk, list_pk, list_sk, expires_at, pk, sk)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (pk, sk) DO NOTHING`,
  );
  const update = database.prepare(
    `UPDATE items SET version = ?, data = ?, bytes = ?, due_pk = ?, due_sk = ?, list_pk = ?, list_sk = ?, expires_at = ?
     WHERE pk = ? AND sk = ? AND version = ?`,
  );
  const remove = database.prepare('DELETE FROM items WHERE pk = ? AND sk = ?');
  const removeExpired = database.prepare(
    'DELETE FROM items WHERE rowid IN (SELECT rowid FROM items WHERE expires_at <= ? LIMIT ?)',
  );
  const queries = new Map<string, StatementSync>();

  const getItem = (pk: string, sk: string): Item | undefined => {
    const row = get.get(pk, sk);
    return row && toItem(row);
  };

  const query = (by: keyof typeof KEY_COLUMNS, reverse: boolean): StatementSync => {
    const [pk, sk] = KEY_COLUMNS[by];
    const order = reverse ? 'DESC' : 'ASC';
    const sql =
      `SELECT ${by === 'key' ? '*' : `pk, sk, ${sk} AS index_sk`} FROM items ` +
      `WHERE ${pk} = ? AND ${sk} >= ? AND ${sk} <= ? ORDER BY ${sk} ${order} LIMIT ?`;
    const prepared = queries.get(sql) ?? database.prepare(sql);
    queries.set(sql, prepared);
    return prepared;
  };

  const holds = ({ pk, sk, put, check = put }: PreparedWrite): boolean =>
    !check || Number(version.get(pk, sk)?.['version'] ?? 0) === check.ifVersion;

  /** Whether its condition held; otherwise it touched nothing. */
  const write = ({ pk, sk, put, check }: PreparedWrite): boolean => {
    if (check) return holds({ pk, sk, check });
    if (!put) remove.run(pk, sk);
    else if (put.ifVersion === 0) return insert.run(...put.values).changes !== 0;
    else return update.run(...put.values, put.ifVersion).changes !== 0;
    return true;
  };

  return {
    get: getItem,
    apply(writes) {
      const [first, ...others] = writes;
      // The first one's condition is part of its statement; it is written once all the others hold.
      if (first && others.every(holds) && write(first)) {
        for (const other of others) write(other);
        return { ok: true };
      }
      const index = writes.findIndex((one) => !holds(one));
      const { pk, sk } = writes[index] as PreparedWrite;
      return { ok: false, index, actual: getItem(pk, sk) };
    },
    query: (pk, { from = '', to = LAST, limit, reverse = false }) =>
      query('key', reverse).all(pk, from, to, limit).map(toItem),
    queryIndex: (index, pk, { from = '', to = LAST, limit, reverse = false }) =>
      query(index, reverse)
        .all(pk, from, to, limit)
        .map((row) => ({
          key: { pk: row['pk'] as string, sk: row['sk'] as string },
          indexKey: { pk, sk: row['index_sk'] as string },
        })),
    removeExpired: (now, limit) => Number(removeExpired.run(now, limit).changes),
  };
};

const toItem = (row: Record<string, SQLOutputValue>): Item => ({
  pk: row['pk'] as string,
  sk: row['sk'] as string,
  version: row['version'] as number,
  data: JSON.parse(row['data'] as string),
  ...(row['bytes'] ? { bytes: row['bytes'] as Uint8Array } : {}),
  ...(row['due_pk'] === null ? {} : { due: { pk: row['due_pk'] as string, sk: row['due_sk'] as string } }),
  ...(row['list_pk'] === null ? {} : { list: { pk: row['list_pk'] as string, sk: row['list_sk'] as string } }),
  ...(row['expires_at'] === null ? {} : { expiresAt: row['expires_at'] as number }),
});
