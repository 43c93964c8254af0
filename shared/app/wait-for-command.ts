import { type Command, isFinal } from '../domain/command.ts';
import { referenceOf } from '../store/schema.ts';
import type { Deps } from './deps.ts';

/** The command once it has ended, or as it is after `waitSeconds`. */
export const waitForCommand = async (
  deps: Pick<Deps, 'commands' | 'changes' | 'clock' | 'lookEverySeconds'>,
  command: Command,
  waitSeconds: number,
): Promise<Command> => {
  const reference = referenceOf(command.tenant, command.id);
  const until = deps.clock.now() + waitSeconds * 1_000;
  using watch = deps.changes.watch(reference, ['record']);
  for (let latest = command; ; ) {
    // Read after the watch began, so that no change falls between.
    latest = (await deps.commands.find(reference))?.command ?? latest;
    const left = until - deps.clock.now();
    if (isFinal(latest.status) || left <= 0) return latest;
    await watch.next(Math.min(left, deps.lookEverySeconds * 1_000));
  }
};
