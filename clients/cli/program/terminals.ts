import { Option } from 'commander';
import { ISOLATION_LEVELS } from '../../../shared/domain/command.ts';
import { collectEnv, collectPair, parseAmount, parseDuration, parseMebibytes } from '../arguments.ts';
import { type Cli, examples } from './cli.ts';

/** Commands that have a terminal. */
export const addTerminals = ({ program, terminal, onExit, optionsOf }: Cli): void => {
  const shells = () => import('../commands/shell.ts');
  examples(
    program
      .command('shell')
      .argument('[cmd...]', 'a program and its arguments, after -- (default: a shell)')
      .description(
        'Run a program on a terminal that is this one, and exit as it does. ~. at the beginning of a line detaches, and it goes on.',
      )
      .option('--on <target>', 'where to run it: a target or a pool; see errand providers')
      .option('--shell <path>', 'a shell in place of bash, or sh where there is none')
      .option(
        '--env <name=value>',
        'a variable; a bare NAME takes its value from here; repeatable; TERM is that of here',
        collectEnv(terminal),
      )
      .option('--secret <name=secret>', 'a variable that holds a stored secret; repeatable', collectPair)
      .option('--cwd <folder>', 'where it begins (default: an empty folder of its own)')
      .option('--cpu <count>', 'processors, where the target lets one ask', parseAmount)
      .option('--memory <amount>', 'memory such as 512M or 2G, where the target lets one ask', parseMebibytes)
      .option('--timeout <time>', 'stop it after this (default 8h)', parseDuration)
      .option('--label <key=value>', 'a label; repeatable', collectPair)
      .addOption(new Option('--isolation <level>', 'at least these walls, or refuse').choices(ISOLATION_LEVELS))
      .passThroughOptions()
      .action(async (argv, _, command) => onExit(await (await shells()).shell(argv, optionsOf(command), terminal))),
    ['errand shell', 'errand shell --isolation sandbox', 'errand shell --cwd /srv/app -- top'],
  );
  examples(
    program
      .command('attach')
      .argument('<id>', 'a command with a terminal, or last for the newest command')
      .description('Look at the terminal of a command, and type: what it has shown is shown again first.')
      .option('--no-replay', 'begin with what comes next')
      .action(async (id, _, command) => {
        const { replay, ...options } = optionsOf<{ readonly replay?: boolean }>(command);
        onExit(await (await shells()).attach(id, { ...options, noReplay: replay === false }, terminal));
      }),
    ['errand attach last', 'errand attach --no-replay cmd_01j…'],
  );
};
