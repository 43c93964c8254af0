import { type Command, Option } from 'commander';
import { LEADING_DASHES } from '../../../shared/domain/triggers.ts';
import { collect, collectPair, parseDuration, parsePositive } from '../arguments.ts';
import { type Cli, examples, withJson } from './cli.ts';

const KINDS = ['github', 'standard-webhooks', 'shared-token'];

/** Webhooks in. */
export const addTriggers = ({ program, terminal, onExit, optionsOf, described }: Cli): void => {
  const trigger = program
    .command('trigger')
    .description('Make addresses that others call, each signed delivery of which runs a command.');
  const triggers = () => import('../commands/trigger.ts');
  const shaped = (command: Command): Command =>
    withJson(described(command.argument('[cmd...]', 'the program and its arguments, after --')))
      .addOption(new Option('--kind <kind>', 'how senders sign (default github)').choices(KINDS))
      .option('--name <name>', 'for people')
      .option(
        '--when <condition>',
        "such as body.ref=refs/heads/main, 'body.ref~refs/tags/*', '!body.draft'; repeatable",
        collect,
      )
      .option('--input <template>', "its stdin, such as '{{ raw }}', all of the body")
      .addOption(
        new Option('--leading-dashes <rule>', 'a value that looks like an option (default refuse)').choices(
          LEADING_DASHES,
        ),
      )
      .addOption(
        new Option('--identified-by <what>', 'what makes two of GitHub’s deliveries one (default body)').choices([
          'body',
          'delivery',
        ]),
      )
      .option('--header <name>', 'of shared-token: where the secret is (default x-errand-token)')
      .option('--delivery-header <name>', 'of shared-token: what names a delivery, so that it is taken once');
  examples(
    shaped(trigger.command('create'))
      .description('Store a trigger, and print its address and its secret.')
      .option('--secret-file <file>', 'a secret of your own, less one line break at the end (default: one is made)')
      .passThroughOptions()
      .action(async (argv, _, command) =>
        onExit(await (await triggers()).createTrigger(argv, optionsOf(command), terminal)),
      ),
    [
      "errand trigger create --when event=push --when body.ref=refs/heads/main -- ./deploy '{{ body.after }}'",
      "errand trigger create --kind standard-webhooks --input '{{ raw }}' -- ./on-invoice",
      'errand trigger create --env TITLE=\'{{ body.issue.title ?? "none" }}\' --script ./triage.sh',
    ],
  );
  shaped(trigger.command('update').argument('<trigger>', 'its id or name'))
    .description('Put another in place of a trigger: all of it but its address and secret, yours from now on.')
    .option('--on-version <version>', 'only if this is its version now', parsePositive)
    .action(async (given, argv, _, command) =>
      onExit(await (await triggers()).updateTrigger(given, argv, optionsOf(command), terminal)),
    );
  withJson(trigger.command('list'))
    .description('List triggers.')
    .action(async (_, command) => onExit(await (await triggers()).listTriggers(optionsOf(command), terminal)));
  withJson(trigger.command('show').argument('<trigger>', 'its id or name'))
    .description('Show a trigger, its address and what it runs.')
    .action(async (given, _, command) =>
      onExit(await (await triggers()).showTrigger(given, optionsOf(command), terminal)),
    );
  examples(
    withJson(trigger.command('test').argument('<trigger>', 'its id or name'))
      .description('Say what a delivery would do, without doing it. Exits with 1 if it would submit nothing.')
      .option('--payload <file>', 'its body, as JSON; from stdin with -')
      .option('--event <event>', 'as GitHub would call it')
      .option('--header <name=value>', 'more headers; repeatable', collectPair)
      .action(async (given, _, command) =>
        onExit(await (await triggers()).testTrigger(given, optionsOf(command), terminal)),
      ),
    ['errand trigger test deploy --event push --payload push.json'],
  );
  withJson(trigger.command('deliveries').argument('<trigger>', 'its id or name'))
    .description('Show what became of its last deliveries, and why.')
    .option('--limit <count>', 'at most so many (default 20)', parsePositive)
    .action(async (given, _, command) =>
      onExit(await (await triggers()).showDeliveries(given, optionsOf(command), terminal)),
    );
  withJson(trigger.command('rotate').argument('<trigger>', 'its id or name'))
    .description('Give it a new secret and print it; the one before is good for a day more.')
    .option('--secret-file <file>', 'a secret of your own, less one line break at the end (default: one is made)')
    .option('--overlap <time>', 'so long the one before stays good, such as 1h (default 1d)', parseDuration)
    .action(async (given, _, command) =>
      onExit(await (await triggers()).rotateSecret(given, optionsOf(command), terminal)),
    );
  for (const [verb, what] of [
    ['pause', 'Take no more deliveries until they are resumed.'],
    ['resume', 'Take deliveries again.'],
    ['delete', 'Remove triggers; what they submitted goes on.'],
  ] as const) {
    withJson(trigger.command(verb).argument('<trigger...>', 'ids or names'))
      .description(what)
      .action(async (given, _, command) =>
        onExit(await (await triggers()).changeTriggers(verb, given, optionsOf(command), terminal)),
      );
  }
};
