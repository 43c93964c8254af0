import { Option } from 'commander';
import { collectEventType, parsePositive, parseWholeNumber } from '../arguments.ts';
import { type Cli, examples, withJson } from './cli.ts';

/** What was done, decided and happened, and how to prove it. */
export const addAudit = ({ program, terminal, onExit, optionsOf }: Cli): void => {
  const audit = program
    .command('audit')
    .description('Read what was done and decided, and prove that none of it was changed.');
  const audits = () => import('../commands/audit.ts');
  examples(
    withJson(audit.command('list'))
      .description('List what was done and decided, newest first.')
      .option('--type <type>', 'only of this type, such as policy.applied')
      .option('--actor <id>', 'only by this member')
      .option('--subject <id>', 'only about this, such as a command’s id')
      .option('--limit <count>', 'at most so many (default 50)', parseWholeNumber)
      .action(async (_, command) => onExit(await (await audits()).listAudit(optionsOf(command), terminal))),
    ['errand audit list --type command.denied', 'errand audit list --subject cmd_01j…'],
  );
  audit
    .command('export')
    .description('Write the log with its checkpoints to stdout, a line of JSON each.')
    .option('--from <entry>', 'from this one on', parsePositive)
    .action(async (_, command) => onExit(await (await audits()).exportAudit(optionsOf(command), terminal)));
  audit
    .command('checkpoint')
    .description('Print the last checkpoint and the public key: keep them elsewhere.')
    .action(async (_, command) => onExit(await (await audits()).printCheckpoint(optionsOf(command), terminal)));
  examples(
    withJson(audit.command('verify').argument('[file]', 'what export wrote; without one, the server’s log'))
      .description(
        'Prove that nothing of a log was changed, cut or reordered. A file is verified without asking anyone.',
      )
      .option('--checkpoint <file>', 'what checkpoint printed before: the log must reach that far, unchanged')
      .option('--key <public-key>', 'the installation’s public key')
      .action(async (file, _, command) =>
        onExit(await (await audits()).verifyAudit(file, optionsOf(command), terminal)),
      ),
    [
      'errand audit checkpoint > kept.json        # now, and keep it elsewhere',
      'errand audit export > log.jsonl; errand audit verify log.jsonl --checkpoint kept.json',
    ],
  );
  examples(
    withJson(program.command('events'))
      .description('Show what happened, the oldest first, or with -f what happens from now on.')
      .option('-f, --follow', 'go on with what comes, through broken connections')
      .addOption(new Option('--type <type>', 'only of this type; repeatable').argParser(collectEventType))
      .option('--command <id>', 'only about this command; last for the newest')
      .option('--after <number>', 'only those after this one', parseWholeNumber)
      .option('--limit <count>', 'at most so many', parseWholeNumber)
      .action(async (_, command) =>
        onExit(await (await import('../commands/events.ts')).events(optionsOf(command), terminal)),
      ),
    ['errand events -f', 'errand events -f --type security.alert --json', 'errand events --command last'],
  );
  program
    .command('receipt')
    .argument('<id>', 'a command that has ended')
    .description('Print a signed statement of how a command ended.')
    .action(async (id, _, command) => onExit(await (await audits()).printReceipt(id, optionsOf(command), terminal)));
};
