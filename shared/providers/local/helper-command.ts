import { type ChildProcess, spawn } from 'node:child_process';
import type { StreamName } from '../../domain/output.ts';
import type { LaunchEnd, LaunchSpec } from './frames.ts';
import { programFault } from './helper-faults.ts';
import { type CommandOutput, passOn } from './helper-output.ts';
import type { CommandPipes, Pipes } from './helper-pipes.ts';
import type { Leftovers } from './leftovers.ts';
import { elapsed, idle } from './machine-time.ts';
import type { ProcessEntry } from './process-table.ts';
import { endTree, killTree, makeTree, send } from './process-tree.ts';

/** A command in execution, from its start until all of it is gone. */
export interface Command {
  /** All of it is gone, and all that it wrote has been passed on. */
  readonly end: Promise<LaunchEnd>;
  stdin(bytes: Buffer): void;
  stdinEnd(): void;
  /** So many bytes of output were taken. */
  credit(bytes: number): void;
  signal(signal: NodeJS.Signals): void;
  /** TERM, grace, KILL, the whole tree. */
  stop(): void;
  /** Kills the whole tree. Resolves when it is gone, or cannot be. */
  kill(): Promise<void>;
}

export interface CommandEvents {
  started(leader: number): void;
  output(stream: StreamName, bytes: Buffer): void;
  stdinTaken(bytes: number): void;
}

/** What all commands of a helper share. */
export interface CommandParts {
  readonly pipes: Pipes;
  readonly leftovers: Leftovers;
}

/** Someone outside of the tree may have been handed the command's pipes: its end does not wait for them for long. */
const PIPES_PATIENCE_MS = 2_000;
/** What cannot be killed within this, when the server is gone, is left to the kernel. */
const KILL_PATIENCE_MS = 10_000;

/** Executes a command. Never throws: what cannot be executed has ended with words for a person. */
export const executeCommand = (spec: LaunchSpec, parts: CommandParts, events: CommandEvents): Command => {
  let pipes: CommandPipes | undefined;
  try {
    pipes = parts.pipes.open(spec.stdin);
    const child = spawnCommand(spec, pipes);
    if (child.pid !== undefined) return watchCommand(spec, parts, events, { child, leader: child.pid, pipes });
    pipes.close();
    return ended(new Promise((resolve) => child.once('error', (error) => resolve(programFault(spec, error)))));
  } catch (error) {
    // Some faults spawn tells by an event, the others it throws.
    pipes?.close();
    return ended(Promise.resolve(programFault(spec, error)));
  }
};

const spawnCommand = ({ argv: [program, ...args], cwd, workDirectory, env }: LaunchSpec, pipes: CommandPipes) =>
  spawn(program, args, {
    cwd: cwd ?? workDirectory,
    env,
    stdio: pipes.stdio,
    // A session and process group of its own, and no controlling terminal.
    detached: true,
  });

const ended = (end: Promise<LaunchEnd>): Command => ({
  end,
  stdin: () => {},
  stdinEnd: () => {},
  credit: () => {},
  signal: () => {},
  stop: () => {},
  kill: async () => {},
});

interface Spawned {
  readonly child: ChildProcess;
  readonly leader: number;
  readonly pipes: CommandPipes;
}

const watchCommand = (
  spec: LaunchSpec,
  { leftovers }: CommandParts,
  events: CommandEvents,
  { child, leader, pipes }: Spawned,
): Command => {
  const tree = { ...makeTree(spec.key, leader), leader };
  const madeAt = elapsed();
  leftovers.leaderStarted(leader);
  events.started(leader);
  const { stdin, ...streams } = pipes.take(child);
  const output: CommandOutput = passOn(streams, events.output);
  // The command closed its input, which is its right.
  stdin?.on('error', () => {});
  let hasExited = false;
  let stopping: Promise<readonly ProcessEntry[]> | undefined;
  const exit = new Promise<{ exitCode: number | null; signal: string | null }>((resolve) => {
    child.once('exit', (exitCode, signal) => {
      hasExited = true;
      leftovers.leaderEnded(leader);
      resolve({ exitCode, signal });
    });
  });
  const toEnd = async (): Promise<LaunchEnd> => {
    const how = await exit;
    // While it is being stopped, what outlives the leader has its grace too.
    const left = await (stopping ?? leftovers.kill({ tree, madeAt }));
    stdin?.destroy();
    await output.drained(PIPES_PATIENCE_MS);
    return { kind: 'ended', ...how, ...(left.length > 0 ? { detail: leftDetail(left) } : {}) };
  };

  return {
    end: toEnd(),
    stdin(bytes) {
      const taken = () => events.stdinTaken(bytes.length);
      if (stdin?.writable) stdin.write(bytes, taken);
      else taken();
    },
    stdinEnd: () => void stdin?.end(),
    credit: output.credit,
    signal(signal) {
      if (!hasExited) send(-leader, signal);
    },
    stop() {
      if (!hasExited) stopping ??= endTree(tree, spec.graceSeconds, exit);
    },
    async kill() {
      await killTree(tree, KILL_PATIENCE_MS);
      await Promise.race([exit, idle(KILL_PATIENCE_MS)]);
    },
  };
};

const leftDetail = (left: readonly ProcessEntry[]): string =>
  `It left processes of another user behind, which may not be ended from here: ${left.map(({ pid }) => pid).join(', ')}.`;
