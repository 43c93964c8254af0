import type { LaunchEnd, LaunchSpec } from './frames.ts';
import { type Command, type CommandEvents, type CommandParts, executeCommand } from './helper-command.ts';
import { folderFault, workFolderFault } from './helper-faults.ts';
import { makeWorkDirectory, removeWorkDirectory } from './work-directory.ts';

/** What the helper does for a run: prepared first, executed when it is told to. */
export interface HelperRun {
  execute(): void;
  /** The command; undefined before it is executed. */
  command(): Command | undefined;
  /** Ends the command, or drops what was only prepared. */
  stop(): void;
  /** The server is gone: kills all of it and cleans up. */
  abandon(): Promise<void>;
}

export interface HelperRunEvents extends CommandEvents {
  /** All of the run is gone, its work folder too. */
  ended(end: LaunchEnd): void;
}

/** Makes ready what a command needs. Faults are told by `ended`, never thrown. */
export const prepareRun = (spec: LaunchSpec, parts: CommandParts, events: HelperRunEvents): HelperRun => {
  let command: Command | undefined;
  let isOver = false;
  const finish = async (end: LaunchEnd): Promise<void> => {
    isOver = true;
    await removeWorkDirectory(spec.workDirectory);
    events.ended(end);
  };
  const fault = prepare(spec, parts);
  if (fault) void finish(fault);

  return {
    execute() {
      if (isOver || command) return;
      command = executeCommand(spec, parts, events);
      void command.end.then(finish);
    },
    command: () => command,
    stop() {
      if (command) command.stop();
      else if (!isOver) void finish({ kind: 'dropped' });
    },
    async abandon() {
      await command?.kill();
      await removeWorkDirectory(spec.workDirectory);
    },
  };
};

const prepare = ({ workDirectory, cwd }: LaunchSpec, { pipes }: CommandParts): LaunchEnd | undefined => {
  try {
    makeWorkDirectory(workDirectory);
    pipes.stock(workDirectory);
  } catch (error) {
    return workFolderFault(error);
  }
  return cwd === undefined ? undefined : folderFault(cwd);
};
