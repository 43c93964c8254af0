import { type Command, Option } from 'commander';
import { DELIVERY_STATUSES } from '../../../shared/domain/webhooks.ts';
import { collect, collectPair, parseDuration, parsePositive } from '../arguments.ts';
import { type Cli, examples, withJson } from './cli.ts';

/** Events that are posted to somebody outside. */
export const addWebhooks = ({ program, terminal, onExit, optionsOf }: Cli): void => {
  const webhook = program.command('webhook').description('Have events posted to a URL, signed.');
  const webhooks = () => import('../commands/webhook.ts');
  const told = (command: Command): Command =>
    withJson(command)
      .option('--event <type>', 'a type of event, or a pattern such as command.*; repeatable', collect)
      .option('--label <key=value>', 'only events of commands with this label; repeatable', collectPair)
      .option('--description <text>', 'for people');
  examples(
    told(webhook.command('create').argument('<url>', 'where to: https, on the public internet'))
      .description('Make a webhook and print its secret, once; its id goes to stderr.')
      .option('--disabled', 'tell it of nothing yet')
      .action(async (url, _, command) =>
        onExit(await (await webhooks()).createWebhook(url, optionsOf(command), terminal)),
      ),
    [
      'errand webhook create https://hooks.example.com/errand --event command.completed --label team=a',
      "errand webhook create https://siem.example.com/errand --event 'security.*' --event 'key.*'",
    ],
  );
  withJson(webhook.command('list'))
    .description('List webhooks, and how they fare.')
    .action(async (_, command) => onExit(await (await webhooks()).listWebhooks(optionsOf(command), terminal)));
  withJson(webhook.command('show').argument('<id>'))
    .description('Show a webhook, and how it fares.')
    .action(async (id, _, command) => onExit(await (await webhooks()).showWebhook(id, optionsOf(command), terminal)));
  told(webhook.command('update').argument('<id>'))
    .description('Change a webhook: what is not given stays as it is.')
    .option('--to <url>', 'where to, from now on')
    .option('--enable', 'tell it of what happens from now on, and send what waited')
    .addOption(new Option('--send-missed', 'with --enable: of what happened meanwhile too'))
    .option('--disable', 'tell it of nothing until it is enabled')
    .option('--on-version <version>', 'only if this is its version now', parsePositive)
    .action(async (id, _, command) => onExit(await (await webhooks()).updateWebhook(id, optionsOf(command), terminal)));
  webhook
    .command('delete')
    .argument('<id...>')
    .description('Remove webhooks and their secrets; what waits is not sent any more.')
    .action(async (ids, _, command) =>
      onExit(await (await webhooks()).deleteWebhooks(ids, optionsOf(command), terminal)),
    );
  withJson(webhook.command('rotate').argument('<id>'))
    .description('Make a new secret and print it, once; the old one signs too for a while.')
    .option('--overlap <time>', 'for how long (default 1d)', parseDuration)
    .action(async (id, _, command) => onExit(await (await webhooks()).rotateWebhook(id, optionsOf(command), terminal)));
  withJson(webhook.command('deliveries').argument('<id>'))
    .description('List what was sent and is yet to be sent, the last event first.')
    .addOption(new Option('--status <status>', 'only these').choices(DELIVERY_STATUSES))
    .option('--limit <count>', 'at most so many (default 20)', parsePositive)
    .action(async (id, _, command) =>
      onExit(await (await webhooks()).listWebhookDeliveries(id, optionsOf(command), terminal)),
    );
  examples(
    withJson(webhook.command('redeliver').argument('<id>').argument('[event]', 'its number', parsePositive))
      .description('Send one delivery again, or all that were given up.')
      .option('--dead', 'all that were given up')
      .action(async (id, event, _, command) =>
        onExit(await (await webhooks()).redeliver(id, event, optionsOf(command), terminal)),
      ),
    ['errand webhook redeliver whk_0123456789abcdef 198', 'errand webhook redeliver whk_0123456789abcdef --dead'],
  );
  withJson(webhook.command('test').argument('<id>'))
    .description('Send a signed ping now and say what came of it; exits with 1 when it was not taken.')
    .action(async (id, _, command) => onExit(await (await webhooks()).testWebhook(id, optionsOf(command), terminal)));
};
