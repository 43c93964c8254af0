import type { Store } from '../shared/store/store.ts';
import type { Metrics } from '../shared/telemetry/metrics.ts';

/** A store whose operations are counted, and timed to the microsecond. */
export const meteredStore = (store: Store, metrics: Metrics): Store => {
  const timed = async <T>(operation: string, work: () => Promise<T>): Promise<T> => {
    const startedAt = performance.now();
    const stored = (failed: boolean): void =>
      metrics.stored({ operation, seconds: (performance.now() - startedAt) / 1_000, failed });
    try {
      const answer = await work();
      stored(false);
      return answer;
    } catch (error) {
      stored(true);
      throw error;
    }
  };
  return {
    ...store,
    get: (key) => timed('get', () => store.get(key)),
    getAll: (keys) => timed('get_all', () => store.getAll(keys)),
    write: (writes) => timed('write', () => store.write(writes)),
    query: (pk, range) => timed('query', () => store.query(pk, range)),
    queryIndex: (index, pk, range) => timed('query_index', () => store.queryIndex(index, pk, range)),
  };
};
