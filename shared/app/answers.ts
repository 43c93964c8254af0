import { hashOf } from '../audit/chain.ts';
import { type Actor, isInScope } from '../domain/actor.ts';
import type { Instant } from '../domain/clock.ts';
import type { Command, CommandSpec } from '../domain/command.ts';
import { LIMITS } from '../domain/limits.ts';
import { referenceOf } from '../store/schema.ts';
import type { Deps } from './deps.ts';

type Parts = Pick<Deps, 'answers' | 'commands' | 'log'>;

/** All that can change what a command says, and nothing that cannot. */
const questionOf = ({ labels, priority, queueTtlSeconds, retry, cacheSeconds, ...question }: CommandSpec) => question;

/** What a submission asks that would do with an earlier result. */
export interface Asked {
  readonly question: string;
  /** Of what is known of it. */
  readonly version: number;
  /** The command that answers it. */
  readonly answer?: Command;
}

/**
 * Looks for a command of the tenant that is the same in all that can change what it says, has succeeded no longer ago than is
 * asked for, and that the actor may read. Undefined where no earlier result is asked for.
 */
export const askBefore = async (
  { answers, commands }: Parts,
  { tenant, scope }: Actor,
  spec: CommandSpec,
  now: Instant,
): Promise<Asked | undefined> => {
  const { cacheSeconds } = spec;
  if (cacheSeconds === undefined) return undefined;
  const question = hashOf(questionOf(spec));
  const { id, version } = await answers.find(tenant, question);
  const command = id && (await commands.find(referenceOf(tenant, id)))?.command;
  const isAnswer =
    command?.status === 'succeeded' &&
    command.endedAt !== undefined &&
    now - command.endedAt <= cacheSeconds * 1_000 &&
    isInScope(scope, command);
  return { question, version, ...(isAnswer ? { answer: command } : {}) };
};

/** For those who ask next. That it is not noted costs them an execution and no more. */
export const noteAsked = async (
  { answers, log }: Parts,
  { question, version }: Asked,
  { id, tenant, submittedAt }: Command,
): Promise<void> => {
  // Whoever asks next may be content with an older result than this one was.
  const expiresAt = submittedAt + LIMITS.cacheSeconds * 1_000;
  await answers
    .keep(tenant, question, { id, version, expiresAt })
    .catch((error: unknown) => log.warn('A command was not noted for those who ask the same', { id, tenant, error }));
};
