import { Argument, Option } from 'commander';
import { STATUSES } from '../../../shared/domain/command.ts';
import { parseWholeNumber } from '../arguments.ts';
import type { RunOptions } from '../commands/run.ts';
import { type Cli, examples, withJson } from './cli.ts';

/** The commands that submit commands, watch them and end them. */
export const addCommands = ({ program, terminal, onExit, optionsOf, described }: Cli): void => {
  const status = new Option('--status <status>', 'only these').choices(STATUSES);

  examples(
    withJson(described(program.command('run').argument('[cmd...]', 'the program and its arguments, after --')))
      .description('Run a command and wait: its output here, its exit code ours.')
      .option('-i, --interactive', 'pass on what is typed on the terminal as its input')
      .option('-n, --no-stdin', 'pass no input on, as in a loop that reads its own')
      .option('-d, --detach', 'print the id and leave it running, as submit does')
      .passThroughOptions()
      .action(async (argv, _, command) => {
        const options = optionsOf<RunOptions & { readonly detach?: boolean }>(command);
        if (options.detach) onExit(await (await import('../commands/submit.ts')).submit(argv, options, terminal));
        else onExit(await (await import('../commands/run.ts')).run(argv, options, terminal));
      }),
    [
      'errand run -- echo hello',
      'errand run --timeout 5m --env CI=1 -- npm test',
      'tar c . | errand run -- sh -c "tar x && make"',
      'errand run --script deploy.sh',
    ],
  );
  examples(
    withJson(described(program.command('submit').argument('[cmd...]', 'the program and its arguments, after --')))
      .description('Submit a command and print its id, without waiting.')
      .option('-n, --no-stdin', 'pass no input on')
      .passThroughOptions()
      .action(async (argv, _, command) =>
        onExit(await (await import('../commands/submit.ts')).submit(argv, optionsOf(command), terminal)),
      ),
    ['id=$(errand submit -- make all); errand logs -f "$id"'],
  );
  examples(
    withJson(program.command('logs').argument('<id>', 'a command, or last for the newest'))
      .description('Show what a command has written.')
      .option('-f, --follow', 'go on until it ends, through broken connections')
      .addOption(new Option('--stream <stream>', 'only one of them').choices(['stdout', 'stderr']))
      .option('--from <byte>', 'begin at this byte', parseWholeNumber)
      .option('--attempt <number>', 'begin with this attempt', parseWholeNumber)
      .option('--exit-code', 'exit as the command did')
      .action(async (id, _, command) =>
        onExit(await (await import('../commands/logs.ts')).logs(id, optionsOf(command), terminal)),
      ),
    ['errand logs -f last', 'errand logs --stream stderr cmd_01j…'],
  );
  examples(
    withJson(program.command('ps'))
      .description('List commands that are not finished, newest first.')
      .option('-a, --all', 'the finished ones too')
      .addOption(status)
      .option('--label <key:value>', 'only those with this label')
      .option('--target <target>', 'only those on this target')
      .option('--limit <count>', 'at most so many (default 50)', parseWholeNumber)
      .action(async (_, command) => onExit(await (await import('../commands/ps.ts')).ps(optionsOf(command), terminal))),
    [
      'errand ps',
      'errand ps --all --status failed',
      "errand ps --all --json | jq -r 'select(.result.exitCode == 1) | .id'",
    ],
  );
  withJson(program.command('show').argument('<id>', 'a command, or last'))
    .description('Show all that is known of a command.')
    .action(async (id, _, command) =>
      onExit(await (await import('../commands/show.ts')).show(id, optionsOf(command), terminal)),
    );
  withJson(program.command('cancel').argument('<id...>', 'commands, or last'))
    .description('End commands with all that they started: TERM, grace, KILL.')
    .option('--wait', 'until they were seen gone')
    .action(async (ids, _, command) =>
      onExit(await (await import('../commands/cancel.ts')).cancel(ids, optionsOf(command), terminal)),
    );
  withJson(
    program
      .command('signal')
      .argument('<id>', 'a command, or last')
      .addArgument(new Argument('<signal>', 'such as HUP or USR1')),
  )
    .description('Send one signal to a running command.')
    .action(async (id, name, _, command) =>
      onExit(await (await import('../commands/cancel.ts')).signal(id, name, optionsOf(command), terminal)),
    );
  examples(
    withJson(program.command('move').argument('<id>', 'a command, or last'))
      .description('Have its next attempt on another target that it was submitted for.')
      .requiredOption('--to <target>', 'one of its own target, if that is a pool, or of its --failover')
      .action(async (id, _, command) =>
        onExit(await (await import('../commands/move.ts')).move(id, optionsOf(command), terminal)),
      ),
    ['errand move last --to cloud-run'],
  );
  examples(
    withJson(
      described(
        program
          .command('replay')
          .argument('<id>', 'a command, or last')
          .argument('[cmd...]', 'another program, after --'),
      ),
    )
      .description('Submit the same again as a new command, with changes.')
      .action(async (id, argv, _, command) =>
        onExit(await (await import('../commands/submit.ts')).replay(id, argv, optionsOf(command), terminal)),
      ),
    ['errand replay last', 'errand replay --timeout 10m cmd_01j…'],
  );
  withJson(program.command('providers'))
    .description('List targets, what they can do, and whether they are healthy.')
    .action(async (_, command) =>
      onExit(await (await import('../commands/providers.ts')).listProviders(optionsOf(command), terminal)),
    );
};
