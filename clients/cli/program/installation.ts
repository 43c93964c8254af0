import { Argument, Option } from 'commander';
import { collect, collectLevel, parsePositive, parseWholeNumber } from '../arguments.ts';
import { type Cli, examples, withJson } from './cli.ts';

/** The installation itself: to serve, back up, restore, examine and connect it. */
export const addInstallation = ({ program, terminal, onExit, optionsOf }: Cli): void => {
  program
    .command('serve')
    .description('Start the embedded server: API, store and execution in this process.')
    .option('--host <address>', 'where to listen; beyond loopback it needs TLS or a proxy, and a name', '127.0.0.1')
    .option('--port <port>', '0 for any that is free', parseWholeNumber, 7070)
    .option('--tls-cert <file>', 'certificate chain, PEM')
    .option('--tls-key <file>', 'its key, PEM')
    .option('--trusted-proxy <address>', 'a proxy that speaks TLS for this server; repeatable', collect)
    .option('--public-host <name>', 'a name that callers know it by; repeatable', collect)
    .option('--loopback-webhooks', 'let webhooks point to this machine, also by http: for trying them out')
    .option('--concurrency <count>', 'how many commands run at once; the others wait', parsePositive, 64)
    .action(async (_, command) =>
      onExit(await (await import('../commands/serve.ts')).serve(optionsOf(command), terminal)),
    );
  const backups = () => import('../commands/backup.ts');
  const backup = withJson(program.command('backup').argument('<file>', 'not there yet; - for stdout'));
  examples(
    backup
      .description('Write all of a data folder into one file, as of one instant, also while a server works on it.')
      .option('--without-keys', 'leave out the keys, which open everything: keep them elsewhere')
      .action(async (file, _, command) => onExit(await (await backups()).backup(file, optionsOf(command), terminal))),
    ['errand backup errand-monday.tar', 'errand backup - | zstd | age -r age1… > errand.tar.zst.age'],
  );
  withJson(backup.command('verify').argument('<file>', 'what backup wrote; - for stdin'))
    .description('Prove that a backup is whole, undamaged and could be restored.')
    .action(async (file, _, command) => onExit(await (await backups()).verify(file, optionsOf(command), terminal)));
  examples(
    withJson(program.command('restore').argument('<file>', 'what backup wrote; - for stdin'))
      .description('Make a data folder (--data, empty or not there yet) of a backup: all of it, or nothing.')
      .addOption(
        new Option('--queued <what>', 'what waited then: ends as lost, or runs, though it may have run since')
          .choices(['lost', 'run'])
          .default('lost'),
      )
      .option('--take-over', 'the old installation is gone: retry what ran by its rules, end what is left at providers')
      .option('--keys <folder>', 'where the keys are, of a backup without them')
      .option('--new-keys', 'go on without them: its secrets stay shut')
      .action(async (file, _, command) => onExit(await (await backups()).restore(file, optionsOf(command), terminal))),
    ['errand restore errand-monday.tar --data ./restored'],
  );
  examples(
    program
      .command('mcp')
      .description('Speak the Model Context Protocol on stdin and stdout, for AI agents.')
      .action(async (_, command) =>
        onExit(await (await import('../commands/mcp.ts')).mcp(optionsOf(command), terminal)),
      ),
    [
      'claude mcp add errand -- errand mcp',
      'ERRAND_API_KEY=$(pass show agent) errand mcp --url https://errand.example.com',
    ],
  );
  examples(
    withJson(program.command('doctor'))
      .description('Say what this machine has for running commands behind walls, and what to install.')
      .option('--isolation', 'attack the walls instead: every probe must succeed without them and fail within')
      .option('--level <level>', 'attack only this level; repeatable', collectLevel)
      .action(async (_, command) =>
        onExit(await (await import('../commands/doctor.ts')).doctor(optionsOf(command), terminal)),
      ),
    ['errand doctor', 'errand doctor --isolation', 'errand doctor --level none'],
  );
  examples(
    program
      .command('completion')
      .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
      .description('Print a completion script for a shell.')
      .action(async (shell) => {
        const { completion } = await import('../completion.ts');
        terminal.stdout.write(completion(program, shell));
      }),
    ['source <(errand completion bash)', 'errand completion fish > ~/.config/fish/completions/errand.fish'],
  );
};
