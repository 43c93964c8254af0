import type { ReplayCommand, SubmitCommand } from '../contract/schemas.ts';
import type { Actor } from '../domain/actor.ts';
import type { CommandSpec } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { CommandId } from '../domain/ids.ts';
import type { Deps } from './deps.ts';
import { requireCommand } from './require-command.ts';
import { type Submission, type Submitted, submitCommand } from './submit-command.ts';

/**
 * Submits the same again as a new command, with `changes` on top. It is checked anew, as any submission is.
 * @throws AppError 'not-found'; 'conflict' for a command of a session; and as `submitCommand`
 */
export const replayCommand = async (
  deps: Deps,
  actor: Actor,
  id: CommandId,
  { changes, ...submission }: Omit<Submission, 'body' | 'replayOf'> & { readonly changes: ReplayCommand },
): Promise<Submitted> => {
  const { command } = await requireCommand(deps, actor, id);
  if (command.session !== undefined) {
    const detail = `${id} ran in the shell of ${command.session}, with what it had then. Send its script to a session again.`;
    throw new AppError('conflict', detail);
  }
  const body = { ...toBody(command.spec, changes), ...changes };
  return submitCommand(deps, actor, { ...submission, body, replayOf: id });
};

/** What was submitted, less what the changes replace as a whole. */
const toBody = (spec: CommandSpec, changes: ReplayCommand): SubmitCommand => {
  const newProgram = changes.argv !== undefined || changes.script !== undefined;
  const newStdin = changes.stdin !== undefined || changes.stdinBase64 !== undefined;
  const { argv, script, stdin, retry, env, labels, failover, route: _, isolation, ...rest } = spec;
  return {
    ...rest,
    env: { ...env },
    labels: { ...labels },
    isolation,
    ...(failover ? { failover: [...failover] } : {}),
    retry: { maxAttempts: retry.maxAttempts, on: [...retry.on] },
    ...(newProgram || !argv ? {} : { argv: [...argv] }),
    ...(newProgram || script === undefined ? {} : { script }),
    ...(newStdin || stdin.kind !== 'open' ? {} : { stdin: 'open' }),
    ...(newStdin || stdin.kind !== 'fixed' ? {} : { stdinBase64: stdin.base64 }),
  };
};
