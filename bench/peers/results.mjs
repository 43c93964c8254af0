import pg from 'pg';

/*
 * How a caller hears of a result from a queue on PostgreSQL that has no call for it: the job leaves it in a table and says so by
 * NOTIFY, in one statement. (A notification holds 8,000 bytes, which is enough here.)
 */
const SAY = `with kept as (insert into results (id, result) values ($1, $2::json) returning id, result)
  select pg_notify('results', json_build_object('id', id, 'result', result)::text) from kept`;

/** Waits for results: `waitFor` gives an id for a new job, and what its result will be. */
export const openResults = async (connectionString) => {
  const listener = new pg.Client({ connectionString });
  await listener.connect();
  await listener.query('create table if not exists results (id text primary key, result json not null)');
  const waiting = new Map();
  listener.on('notification', ({ payload }) => {
    const { id, result } = JSON.parse(payload);
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  await listener.query('listen results');
  let last = 0;
  return () => {
    const id = String(++last);
    return { id, result: new Promise((resolve) => waiting.set(id, resolve)) };
  };
};

/** Stores a result and says so. @param query of a client or a pool of them */
export const sayResult = (query, id, result) => query(SAY, [id, JSON.stringify(result)]);
