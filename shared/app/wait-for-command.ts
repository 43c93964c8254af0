import { type Command, isFinal } from '../domain/command.ts';
import type { Watch } from '../events/changes.ts';
import { referenceOf } from '../store/schema.ts';
import type { Deps } from './deps.ts';

/**
 * The command once it has ended, or as it is after `waitSeconds`.
 * @param watch begun before anything could have happened to `command`, which saves a read. It is disposed of.
 */
export const waitForCommand = async (
  deps: Pick<Deps, 'commands' | 'changes' | 'clock' | 'lookEverySeconds'>,
  command: Command,
  waitSeconds: number,
  watch?: Watch,
): Promise<Command> => {
  const reference = referenceOf(command.tenant, command.id);
  const until = deps.clock.now() + waitSeconds * 1_000;
  const read = async (): Promise<Command | undefined> => (await deps.commands.find(reference))?.command;
  using watching = watch ?? deps.changes.watch(reference, ['record']);
  // Read after the watch began, so that no change falls between.
  let latest = (watch ? command : await read()) ?? command;
  for (;;) {
    const left = until - deps.clock.now();
    if (isFinal(latest.status) || left <= 0) return latest;
    const announced = await watching.next(Math.min(left, deps.lookEverySeconds * 1_000));
    latest = announced?.command ?? (await read()) ?? latest;
  }
};
