import type { CommandView } from '../../shared/contract/schemas.ts';
import type { Isolation } from '../../shared/domain/command.ts';
import type { Client } from '../sdk/client.ts';
import type { Place, PlaceLimits } from './embedded.ts';

export interface ServerPlaceOptions {
  readonly level: Isolation;
  readonly isHealthy: () => Promise<boolean>;
  /** Whether commands of the level may ask for memory and processors. */
  readonly resourceLimits: boolean;
  /** What each of them may have of the rest. @default nothing is known */
  readonly given?: PlaceLimits;
  readonly ownUsers: boolean;
}

/** What each command asks for, where it may: small enough to be exceeded without harm to the machine. */
const ASKED = { memoryMiB: 256, cpu: 1 } as const;
const TIMEOUT_SECONDS = 90;
const MOST_STDIN_BYTES = 1024 * 1024;

/** An isolation level of a server's local target, as every caller has it. */
export const serverPlace = (client: Client, options: ServerPlaceOptions): Place => {
  const { level, isHealthy, resourceLimits, given, ownUsers } = options;
  return {
    level,
    ownUsers,
    limits: { ...given, ...(resourceLimits ? { memoryMiB: ASKED.memoryMiB, cpuPercent: ASKED.cpu * 100 } : {}) },
    isHealthy,
    async run(argv, { stdin, stop, onOutput }) {
      const asked = resourceLimits ? ASKED : {};
      const what = { argv: [...argv] as [string, ...string[]], stdin: 'open', ...asked } as const;
      const { id } = await client.submit({
        ...what,
        target: 'local',
        isolation: level,
        timeoutSeconds: TIMEOUT_SECONDS,
      });
      const cancel = () => void client.cancel(id).catch(() => {});
      stop?.addEventListener('abort', cancel, { once: true });
      try {
        for (let from = 0; from < stdin.length; from += MOST_STDIN_BYTES)
          await client.writeStdin(id, stdin.subarray(from, from + MOST_STDIN_BYTES), from);
        await client.endStdin(id);
        const command = onOutput ? await follow(client, id, onOutput) : await ended(client, id);
        return toRun(command, level);
      } finally {
        stop?.removeEventListener('abort', cancel);
      }
    },
  };
};

const ended = async (client: Client, id: string): Promise<CommandView> => {
  let command = await client.get(id, { waitSeconds: 60 });
  while (command.endedAt === null) command = await client.get(id, { waitSeconds: 60 });
  return command;
};

const follow = async (client: Client, id: string, onOutput: (text: string) => void): Promise<CommandView> => {
  for await (const event of client.follow(id)) {
    if (event.type === 'stdout') onOutput(Buffer.from(event.bytes).toString('utf8'));
    if (event.type === 'end') break;
  }
  return ended(client, id);
};

const toRun = (command: CommandView, level: Isolation): Awaited<ReturnType<Place['run']>> => {
  const { result, status, stdout = '', stderr = '' } = command;
  const used = result?.isolation ?? command.isolation;
  if (used !== level) throw new Error(`It ran with isolation ${used} where ${level} was asked for.`);
  const detail = result?.detail ?? (stderr.trim().split('\n')[0] || `the command is ${status}`);
  return { exitCode: result?.exitCode ?? null, signal: result?.signal ?? null, stdout, detail };
};
