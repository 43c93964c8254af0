import { Option } from 'commander';
import { ISOLATION_LEVELS } from '../../../shared/domain/command.ts';
import { SESSION_SHELLS } from '../../../shared/domain/sessions.ts';
import { collectEnv, collectPair, parseDuration } from '../arguments.ts';
import { type Cli, examples, withJson } from './cli.ts';

/** Warm shells. */
export const addSessions = ({ program, terminal, onExit, optionsOf }: Cli): void => {
  const session = program
    .command('session')
    .description('Keep a shell warm: its folder, variables and files stay from one script to the next.');
  const sessions = () => import('../commands/session.ts');
  examples(
    withJson(session.command('start'))
      .description('Start a session and print its id.')
      .option('--on <target>', 'the target that holds it; see errand providers')
      .addOption(new Option('--shell <shell>', 'default /bin/sh').choices(SESSION_SHELLS))
      .option('--name <name>', 'for people')
      .option(
        '--env <name=value>',
        'a variable; a bare NAME takes its value from here; repeatable',
        collectEnv(terminal),
      )
      .option('--cwd <folder>', 'where it begins (default: an empty folder of its own)')
      .option('--label <key=value>', 'a label, also of its commands; repeatable', collectPair)
      .addOption(new Option('--isolation <level>', 'at least these walls, or refuse').choices(ISOLATION_LEVELS))
      .option('--idle <time>', 'end it when it was not used for so long (default 15m)', parseDuration)
      .option('--max-life <time>', 'end it so long after its start (default 8h)', parseDuration)
      .action(async (_, command) => onExit(await (await sessions()).startSession(optionsOf(command), terminal))),
    ['id=$(errand session start --shell bash --idle 1h)'],
  );
  examples(
    withJson(session.command('exec').argument('<session>', 'its id or name').argument('[script]', 'text for its shell'))
      .description('Run a script in a session and wait: its output here, its exit code ours.')
      .option('--script <file>', 'a script from a file, or from stdin with -')
      .option('-i, --input', 'pass what comes on stdin on as its input')
      .option('--timeout <time>', 'interrupt it after this (default 1h)', parseDuration)
      .option('--label <key=value>', 'a label; repeatable', collectPair)
      .action(async (given, script, _, command) =>
        onExit(await (await sessions()).execInSession(given, script, optionsOf(command), terminal)),
      ),
    [
      'errand session exec "$id" \'cd /srv/app && git pull\'',
      'errand session exec "$id" \'make test\'           # in /srv/app still',
    ],
  );
  withJson(session.command('list'))
    .description('List your sessions.')
    .option('-a, --all', 'also those that have ended')
    .action(async (_, command) => onExit(await (await sessions()).listSessions(optionsOf(command), terminal)));
  withJson(session.command('show').argument('<session>', 'its id or name'))
    .description('Show a session.')
    .action(async (given, _, command) =>
      onExit(await (await sessions()).showSession(given, optionsOf(command), terminal)),
    );
  withJson(session.command('end').argument('<session...>', 'ids or names'))
    .description('End sessions, with all that was started in them.')
    .action(async (given, _, command) =>
      onExit(await (await sessions()).endSessions(given, optionsOf(command), terminal)),
    );
};
