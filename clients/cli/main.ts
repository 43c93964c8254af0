import { ApiError, ConnectionError } from '../sdk/errors.ts';
import { UsageError } from './arguments.ts';
import { EXIT } from './exit-codes.ts';
import { isHelp, isUsageError, makeProgram } from './program.ts';
import { isBrokenPipe, say, type Terminal } from './terminal.ts';

/** Runs the CLI on the given arguments and sets the process's exit code. */
export const main = async (argv: readonly string[]): Promise<void> => {
  const { stdin, stdout, stderr, env } = process;
  const terminal: Terminal = { stdin, stdout, stderr, env };
  // Whoever reads our output may leave first; each writer sees it, and nothing must fall over it.
  for (const stream of [stdout, stderr]) stream.on('error', () => {});
  // Set, never exit(): what is written must still drain.
  process.exitCode = await exitCodeFor(argv, terminal);
};

const exitCodeFor = async (argv: readonly string[], terminal: Terminal): Promise<number> => {
  let code = 0;
  const program = makeProgram(terminal, (given) => {
    code = given;
  });
  try {
    if (argv.length === 0) program.outputHelp();
    else await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    if (isHelp(error)) return 0;
    if (isBrokenPipe(error)) return EXIT.brokenPipe;
    tell(error, terminal, argv);
    const code = codeOf(error);
    return code === 'usage' || code === 'invalid-request' ? EXIT.usage : EXIT.fault;
  }
};

const tell = (error: unknown, terminal: Terminal, argv: readonly string[]): void => {
  const detail = explain(error);
  const ownArguments = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : undefined);
  if (ownArguments.includes('--json')) {
    terminal.stdout.write(`${JSON.stringify({ type: 'error', code: codeOf(error), detail })}\n`);
  } else if (!isUsageError(error)) {
    // Commander has told its own already.
    say(terminal, detail);
  }
};

const codeOf = (error: unknown): string => {
  if (error instanceof ApiError) return error.code;
  if (error instanceof ConnectionError) return 'connection-failed';
  return isUsageError(error) || error instanceof UsageError ? 'usage' : 'fault';
};

const explain = (error: unknown): string => {
  if (isUsageError(error)) return error.message.replace(/^error: /, '');
  if (error instanceof ConnectionError) {
    const next = error.commandId
      ? `Look again with \`errand logs -f ${error.commandId}\`.`
      : 'Start it with `errand serve`, or give another with --url.';
    return `${error.message}. ${next}`;
  }
  return error instanceof Error ? error.message : String(error);
};
