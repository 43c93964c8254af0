import { type ConnectOptions, withConnection } from '../connect.ts';
import { table } from '../render.ts';
import { plain, type Terminal, write } from '../terminal.ts';

export interface ProvidersOptions extends ConnectOptions {
  readonly json?: boolean;
}

/** Lists the targets and what they can do. */
export const listProviders = (options: ProvidersOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, trySandbox: true }, terminal, async ({ client }) => {
    const { items, pools } = await client.targets();
    if (options.json) {
      for (const item of [...items, ...pools]) await write(terminal.stdout, `${JSON.stringify(item)}\n`);
      return 0;
    }
    const rows = items.map(({ target, provider, healthy, detail, state, why, features }) => [
      target,
      provider,
      state === 'healthy' ? state : plain(`${state}: ${why ?? 'unknown'}`),
      healthy ? 'yes' : plain(`no: ${detail ?? 'unknown'}`),
      features.isolation.join(' '),
      features.cancel,
      `${features.longestTimeoutSeconds} s`,
      features.launcher ?? '-',
    ]);
    const head = ['TARGET', 'PROVIDER', 'STATE', 'HEALTHY', 'ISOLATION', 'CANCELS', 'LONGEST', 'LAUNCHER'];
    await write(terminal.stdout, table(head, rows));
    if (pools.length === 0) return 0;
    const members = pools.map(({ pool, by, targets, weights }) => [
      pool,
      by,
      targets.map((name) => (by === 'weight' ? `${name}×${weights?.[name] ?? 1}` : name)).join(' '),
    ]);
    await write(terminal.stdout, `\n${table(['POOL', 'BY', 'TARGETS'], members)}`);
    return 0;
  });
