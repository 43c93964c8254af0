import * as z from 'zod';
import type { Deps } from '../app/deps.ts';
import { openOutput } from '../app/open-output.ts';
import { toSummary } from '../app/view.ts';
import { CommandIdText, CommandSummary, ResultView } from '../contract/schemas.ts';
import { type Command, isFinal } from '../domain/command.ts';
import { quoted } from './quoted.ts';
import { toSafe } from './safe-text.ts';
import type { Answer, Call } from './tool.ts';
import { WindowView, windowOf } from './windows.ts';

const { status, target } = CommandSummary.shape;
const { exitCode, signal, reason, durationMs } = ResultView.shape;

/** How a command stands, with what it wrote, short enough for a model's context. */
export const OutcomeView = z.object({
  id: CommandIdText.describe('Of the command.') as unknown as z.ZodType<string>,
  status,
  finished: z.boolean(),
  target,
  exitCode: exitCode.describe('Null while it runs, and where a signal ended it or nobody can know.'),
  signal,
  reason: reason.nullable(),
  detail: z.string().nullable(),
  durationMs,
  stdout: WindowView,
  stderr: WindowView,
  repeated: z.boolean().describe('Whether an earlier call had submitted it already, with the same idempotencyKey.'),
  next: z.string().nullable().describe('What to call next.'),
});
type OutcomeView = z.output<typeof OutcomeView>;

/** Of each stream. */
export const outputBytes = z
  .int()
  .min(256)
  .max(64 * 1024)
  .default(8 * 1024)
  .describe('The most bytes that are shown of stdout and of stderr, each. Default 8192.');

export const toOutcome = async (
  deps: Deps,
  { actor }: Call,
  command: Command,
  { outputBytes: most, repeated = false }: { readonly outputBytes: number; readonly repeated?: boolean },
): Promise<Answer<OutcomeView>> => {
  const windowOn = async (stream: 'stdout' | 'stderr') =>
    windowOf(await openOutput(deps, actor, command.id, { stream }), stream, most);
  const [stdout, stderr] = await Promise.all([windowOn('stdout'), windowOn('stderr')]);
  const { result, attempts, ...summary } = toSummary(command);
  const data = toSafe<OutcomeView>({
    id: summary.id,
    status: summary.status,
    finished: isFinal(command.status),
    target: summary.target,
    exitCode: result?.exitCode ?? null,
    signal: result?.signal ?? null,
    reason: result?.reason ?? null,
    detail: result?.detail ?? attempts.at(-1)?.detail ?? null,
    durationMs: result?.durationMs ?? null,
    stdout,
    stderr,
    repeated,
    next: nextOf(command),
  });
  const written = [stdout, stderr].map(({ text }, i) => ({ name: i === 0 ? 'stdout' : 'stderr', text }));
  const lines = [sentenceOf(data), quoted(deps.random, written), data.next ?? ''];
  return { data, text: lines.filter((line) => line !== '').join('\n') };
};

const nextOf = ({ id, status: now, spec }: Command): string | null => {
  if (!isFinal(now)) return `It goes on by itself. Call wait_command with id ${id}, or cancel_command to end it.`;
  if (now === 'timed_out') return `It was stopped after ${spec.timeoutSeconds} s. Give it more with timeoutSeconds.`;
  if (now === 'lost') return 'Nobody saw how it ended. See what it did before you run it again.';
  return null;
};

const sentenceOf = (outcome: OutcomeView): string => {
  const how = [
    outcome.exitCode === null ? undefined : `exit code ${outcome.exitCode}`,
    outcome.signal === null ? undefined : `signal ${outcome.signal}`,
    outcome.durationMs === null ? undefined : `after ${outcome.durationMs} ms`,
    outcome.detail ?? undefined,
  ].filter((part) => part !== undefined);
  return `${outcome.id} on ${outcome.target}: ${outcome.status}${how.length > 0 ? `, ${how.join(', ')}` : ''}.`;
};
