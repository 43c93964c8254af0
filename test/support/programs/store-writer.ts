/** Writes items to a store for ever and says the number of each once it was acknowledged. To be killed. */
import { sqliteStore } from '../../../shared/store/sqlite/sqlite.ts';

const store = sqliteStore({ file: process.argv[2] ?? '' });
for (let n = 1; ; n++) {
  await store.write([{ put: { pk: 'p', sk: String(n).padStart(9, '0'), version: 1, data: n }, ifVersion: 0 }]);
  process.stdout.write(`${n}\n`);
}
