import { type Command, Option } from 'commander';
import { CATCH_UPS, OVERLAPS } from '../../../shared/domain/schedules.ts';
import { parseDuration, parsePositive } from '../arguments.ts';
import { type Cli, examples, withJson } from './cli.ts';

/** Commands at times to come. */
export const addSchedules = ({ program, terminal, onExit, optionsOf, described }: Cli): void => {
  const schedule = program
    .command('schedule')
    .description('Run commands at times to come: by cron, at a rate, or once.');
  const schedules = () => import('../commands/schedule.ts');
  const timed = (command: Command): Command =>
    withJson(described(command.argument('[cmd...]', 'the program and its arguments, after --')))
      .option('--name <name>', 'for people')
      .option('--cron <expression>', 'minute hour day month weekday, or six fields with seconds first')
      .option('--time-zone <zone>', 'of --cron, such as Europe/Berlin (default: the one here)')
      .option('--every <time>', 'a rate such as 90s or 1h', parseDuration)
      .option('--at <time>', 'once, at 2030-01-01T03:00 here, or …Z in UTC')
      .option('--start-at <time>', 'not before')
      .option('--end-at <time>', 'not after')
      .option('--jitter <time>', 'fire up to so much later, so that not all do at once', parseDuration)
      .addOption(
        new Option('--overlap <rule>', 'while the command before has not ended (default skip)').choices(OVERLAPS),
      )
      .addOption(new Option('--catch-up <rule>', 'of what was missed (default last)').choices(CATCH_UPS));
  examples(
    timed(schedule.command('add'))
      .description('Store a schedule and print its id.')
      .passThroughOptions()
      .action(async (argv, _, command) =>
        onExit(await (await schedules()).addSchedule(argv, optionsOf(command), terminal)),
      ),
    [
      "errand schedule add --name nightly --cron '0 3 * * 1-5' --time-zone Europe/Berlin -- ./backup",
      'errand schedule add --every 15m --overlap queue -- ./sync',
      'errand schedule add --at 2030-01-01T00:00 -- ./fireworks',
    ],
  );
  timed(schedule.command('put').argument('<schedule>', 'its id or name'))
    .description('Put another in place of a schedule: all of it, yours from now on.')
    .option('--on-version <version>', 'only if this is its version now', parsePositive)
    .action(async (given, argv, _, command) =>
      onExit(await (await schedules()).putSchedule(given, argv, optionsOf(command), terminal)),
    );
  withJson(schedule.command('list'))
    .description('List schedules, the next to fire first.')
    .action(async (_, command) => onExit(await (await schedules()).listSchedules(optionsOf(command), terminal)));
  withJson(schedule.command('show').argument('<schedule>', 'its id or name'))
    .description('Show a schedule, its next five firings and its last ones.')
    .action(async (given, _, command) =>
      onExit(await (await schedules()).showSchedule(given, optionsOf(command), terminal)),
    );
  withJson(schedule.command('history').argument('<schedule>', 'its id or name'))
    .description('Show what became of its last firings, and why.')
    .action(async (given, _, command) =>
      onExit(await (await schedules()).showHistory(given, optionsOf(command), terminal)),
    );
  withJson(schedule.command('trigger').argument('<schedule>', 'its id or name'))
    .description('Submit its command now and print the command’s id.')
    .action(async (given, _, command) =>
      onExit(await (await schedules()).triggerSchedule(given, optionsOf(command), terminal)),
    );
  for (const [verb, what] of [
    ['pause', 'Fire no more until they are resumed.'],
    ['resume', 'Fire again, from the next time on.'],
    ['remove', 'Remove schedules; what they submitted goes on.'],
  ] as const) {
    withJson(schedule.command(verb).argument('<schedule...>', 'ids or names'))
      .description(what)
      .action(async (given, _, command) =>
        onExit(await (await schedules()).changeSchedules(verb, given, optionsOf(command), terminal)),
      );
  }
};
