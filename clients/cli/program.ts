import { Command, CommanderError, Option } from 'commander';
import { addAudit } from './program/audit.ts';
import { makeCli, type OnExit } from './program/cli.ts';
import { addCommands } from './program/commands.ts';
import { addInstallation } from './program/installation.ts';
import { addKeys } from './program/keys.ts';
import { addPolicy } from './program/policy.ts';
import { addSchedules } from './program/schedules.ts';
import { addSecrets } from './program/secrets.ts';
import { addServers } from './program/servers.ts';
import { addSessions } from './program/sessions.ts';
import { addTenancy } from './program/tenancy.ts';
import { addTerminals } from './program/terminals.ts';
import { addTriggers } from './program/triggers.ts';
import { addWebhooks } from './program/webhooks.ts';
import { addWorkflows } from './program/workflows.ts';
import type { Terminal } from './terminal.ts';
import { VERSION } from './version.ts';

/** In the order of errand --help. */
const TOPICS = [
  addCommands,
  addTerminals,
  addKeys,
  addSecrets,
  addSchedules,
  addSessions,
  addTriggers,
  addWebhooks,
  addWorkflows,
  addServers,
  addTenancy,
  addPolicy,
  addAudit,
  addInstallation,
];

/**
 * Every command of the CLI as data: its words, options and examples, by topic under program/. What it does is a file
 * under commands/, loaded when it is asked for.
 */
export const makeProgram = (terminal: Terminal, onExit: OnExit): Command => {
  const program = new Command('errand')
    .description(
      [
        'Runs commands somewhere else and brings back what they said.\n',
        'Examples:',
        '  errand run -- echo hello               its output here, its exit code ours',
        '  cat data | errand run -- wc -l         its input, too',
        '  errand serve                           a server for submit, logs -f, HTTP',
        '  errand ps --all                        what was run',
      ].join('\n'),
    )
    .version(VERSION, '-V, --version')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .showHelpAfterError('Try errand --help, or errand <command> --help.')
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text.replace(/^error: /, 'errand: ')),
    })
    .exitOverride();

  for (const option of whereOptions()) program.addOption(option);
  const cli = makeCli(program, terminal, onExit);
  for (const add of TOPICS) add(cli);
  for (const command of program.commands.flatMap((one) => [one, ...one.commands])) {
    for (const option of whereOptions()) command.addOption(command.name() === 'serve' ? option : option.hideHelp());
    command.exitOverride().configureOutput(program.configureOutput());
  }
  return program;
};

/** Where the server is. */
const whereOptions = (): Option[] => [
  new Option('--url <url>', 'the server (ERRAND_URL); without one, the server on the data folder, or none at all'),
  new Option('--profile <name>', 'a server from ~/.config/errand/config.json (ERRAND_PROFILE)'),
  new Option('--data <folder>', 'the data folder of the embedded server (ERRAND_DATA; default ./.errand)'),
];

/** Help and version were asked for, so they are no fault. */
export const isHelp = (error: unknown): boolean => error instanceof CommanderError && error.exitCode === 0;
export const isUsageError = (error: unknown): error is CommanderError => error instanceof CommanderError;
