import { constants } from 'node:os';
import type { CommandView } from '../../shared/contract/schemas.ts';

/** The CLI's own exit codes; all others are the command's. */
export const EXIT = { denied: 1, usage: 2, timedOut: 124, fault: 125, interrupted: 130, brokenPipe: 141 } as const;

/** The exit code that stands for how a command ended, as shells and timeout(1) have it. */
export const exitCodeOf = ({ status, result }: Pick<CommandView, 'status' | 'result'>): number => {
  if (status === 'timed_out') return EXIT.timedOut;
  if (status === 'canceled') return EXIT.interrupted;
  if (result?.exitCode != null) return result.exitCode;
  if (result?.signal) return 128 + (constants.signals[result.signal as NodeJS.Signals] ?? 0);
  return EXIT.fault;
};

/** What a person must be told about an end that is no ordinary exit; undefined otherwise. */
export const explainEnd = (
  command: Pick<CommandView, 'id' | 'status' | 'result' | 'timeoutSeconds'>,
): string | undefined => {
  const { id, status, result, timeoutSeconds } = command;
  switch (status) {
    case 'timed_out':
      return `${id} was stopped after its time-out of ${timeoutSeconds} s. Give it more with --timeout.`;
    case 'expired':
      return `${id} never started: ${result?.detail ?? 'it waited too long.'} Give it more time with --queue-ttl.`;
    case 'lost':
      return `${id} is lost: ${result?.detail ?? 'nobody knows how it ended.'} Run it again with \`errand replay ${id}\`, if that does no harm.`;
    case 'canceled':
      return `${id} was canceled; nothing of it is left.`;
    default:
      if (result?.reason === 'out-of-memory') return `${id} ran out of memory. Give it more, or less to do.`;
      if (result?.signal) return `${id} was ended by ${result.signal}.`;
      return result?.detail;
  }
};
