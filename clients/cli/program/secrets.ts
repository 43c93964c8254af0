import { type Cli, examples, withJson } from './cli.ts';

/** Values that commands are given by reference. */
export const addSecrets = ({ program, terminal, onExit, optionsOf }: Cli): void => {
  const secret = program.command('secret').description('Store values that commands are given by reference.');
  const secrets = () => import('../commands/secret.ts');
  examples(
    withJson(secret.command('set').argument('<name>', 'letters, digits and . _ -'))
      .description('Store a secret from stdin or a file, never from the command line.')
      .option('--from-file <file>', 'its bytes as they are; from stdin, less one line break at the end')
      .action(async (name, _, command) =>
        onExit(await (await secrets()).setSecret(name, optionsOf(command), terminal)),
      ),
    ['pass show deploy | errand secret set deploy-token', 'errand run --secret TOKEN=deploy-token -- ./deploy'],
  );
  withJson(secret.command('list'))
    .description('List secrets, without their values.')
    .action(async (_, command) => onExit(await (await secrets()).listSecrets(optionsOf(command), terminal)));
  secret
    .command('remove')
    .argument('<name...>', 'secrets')
    .description('Remove secrets; commands that need them fail to start.')
    .action(async (names, _, command) =>
      onExit(await (await secrets()).removeSecrets(names, optionsOf(command), terminal)),
    );
};
