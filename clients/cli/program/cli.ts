import { type Command, Option } from 'commander';
import { ISOLATION_LEVELS, PRIORITIES } from '../../../shared/domain/command.ts';
import {
  collect,
  collectCause,
  collectEnv,
  collectPair,
  parseAmount,
  parseDuration,
  parseMebibytes,
  parseWholeNumber,
} from '../arguments.ts';
import type { Terminal } from '../terminal.ts';

/** Tells main the exit code of the one command that was asked for. */
export type OnExit = (code: number) => void;

/** What each topic adds its commands to, and what they act with. */
export interface Cli {
  readonly program: Command;
  readonly terminal: Terminal;
  readonly onExit: OnExit;
  /** Options before and after the command's name count alike. */
  optionsOf<T>(command: Command): T;
  /** With the options that say what is to be run, where and how. */
  described(command: Command): Command;
}

export const makeCli = (program: Command, terminal: Terminal, onExit: OnExit): Cli => ({
  program,
  terminal,
  onExit,
  optionsOf: <T>(command: Command) => ({ ...program.opts(), ...command.opts() }) as T,
  described: describedFrom(terminal),
});

/** Examples stand before the options: they are what people look for. */
export const examples = (command: Command, lines: readonly string[]): Command =>
  command
    .summary(command.description())
    .description(`${command.description()}\n\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`);

/** Also for programs to read. */
export const withJson = (command: Command): Command =>
  command.option('--json', 'one JSON object a line on stdout, and nothing else');

const describedFrom =
  (terminal: Terminal) =>
  (command: Command): Command =>
    command
      .option('--on <target>', 'where to run it: a target or a pool; see errand providers')
      .option('--failover <target>', 'where else, when that is down or does not take it; repeatable, in order', collect)
      .option('--script <file>', 'run a shell script from a file, or from stdin with -')
      .option('--shell <path>', 'the shell for --script (default /bin/sh)')
      .option(
        '--env <name=value>',
        'a variable; a bare NAME takes its value from here; repeatable',
        collectEnv(terminal),
      )
      .option('--secret <name=secret>', 'a variable that holds a stored secret; repeatable', collectPair)
      .option('--cwd <folder>', 'where it runs (default: an empty folder of its own)')
      .option('--image <image>', 'a container image, where the target runs images')
      .option('--cpu <count>', 'processors, where the target lets one ask', parseAmount)
      .option('--memory <amount>', 'memory such as 512M or 2G, where the target lets one ask', parseMebibytes)
      .option('--timeout <time>', 'stop it after this, such as 60s, 5m, 1h30m (default 1h)', parseDuration)
      .option('--cache <time>', 'take the result of the same command, if it succeeded within that time', parseDuration)
      .option('--queue-ttl <time>', 'give up if it has not started by then (default 1h)', parseDuration)
      .option('--label <key=value>', 'a label; repeatable', collectPair)
      .addOption(new Option('--priority <priority>', 'before or after others').choices(PRIORITIES))
      .addOption(new Option('--isolation <level>', 'at least these walls, or refuse').choices(ISOLATION_LEVELS))
      .option('--retry <times>', 'run it at most so many times in all', parseWholeNumber)
      .option('--retry-on <cause>', 'lost, provider-error or nonzero-exit; repeatable (default: all)', collectCause);
