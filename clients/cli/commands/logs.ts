import { resolveId } from '../command-id.ts';
import { type ConnectOptions, connect } from '../connect.ts';
import { EXIT, exitCodeOf } from '../exit-codes.ts';
import { showOutput } from '../follow.ts';
import type { Terminal } from '../terminal.ts';

export interface LogsOptions extends ConnectOptions {
  readonly follow?: boolean;
  readonly stream?: 'stdout' | 'stderr';
  readonly from?: number;
  readonly attempt?: number;
  readonly exitCode?: boolean;
  readonly json?: boolean;
}

/** Shows the output so far, or with --follow all of it as it comes, until the command ends. */
export const logs = async (given: string, options: LogsOptions, terminal: Terminal): Promise<number> => {
  const { client, close } = await connect(options, terminal);
  const left = new AbortController();
  const leave = () => left.abort();
  process.once('SIGINT', leave);
  try {
    const id = await resolveId(client, given);
    const { stream, from, attempt, json } = options;
    const until = options.follow ? undefined : await stopAtPresentEnd(client, id, options);
    if (until === 'nothing') return 0;
    const followed = await showOutput(client, id, terminal, {
      stream,
      from,
      attempt,
      json,
      signal: left.signal,
      ...(until ? { until } : {}),
    });
    if (followed.kind === 'ended') return options.exitCode ? exitCodeOf(followed.command) : 0;
    if (followed.kind === 'broken-pipe') return EXIT.brokenPipe;
    return left.signal.aborted ? EXIT.interrupted : 0;
  } finally {
    process.removeListener('SIGINT', leave);
    await close();
  }
};

/** Ends the showing where the output ends now, if the command still runs. */
const stopAtPresentEnd = async (
  client: Awaited<ReturnType<typeof connect>>['client'],
  id: string,
  { stream, from = 0, attempt }: LogsOptions,
) => {
  const sizes = { stdout: 0, stderr: 0 };
  const streams = stream ? [stream] : (['stdout', 'stderr'] as const);
  let last = 0;
  let complete = true;
  for (const name of streams) {
    const now = await client.readOutput(id, { stream: name, attempt });
    await now.body.cancel();
    sizes[name] = now.size;
    last = now.attempt;
    complete &&= now.complete;
  }
  if (complete) return undefined;
  const wanted = sizes.stdout + sizes.stderr - from;
  if (wanted <= 0) return 'nothing';
  let shown = 0;
  return (event: Parameters<NonNullable<Parameters<typeof showOutput>[3]['until']>>[0]): boolean => {
    if (event.type !== 'stdout' && event.type !== 'stderr') return false;
    if (event.attempt === last) shown += event.bytes.length;
    return shown >= wanted || event.attempt > last;
  };
};
