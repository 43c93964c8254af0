import { collect, collectPair, parseDuration } from '../arguments.ts';
import { type Cli, examples, withJson } from './cli.ts';

/** Who one is, and the keys that say so. */
export const addKeys = ({ program, terminal, onExit, optionsOf }: Cli): void => {
  withJson(program.command('whoami'))
    .description('Say who you are to the server, and what you may do.')
    .action(async (_, command) =>
      onExit(await (await import('../commands/key.ts')).whoami(optionsOf(command), terminal)),
    );
  const key = program.command('key').description('Make, list, rotate and revoke keys.');
  const keys = () => import('../commands/key.ts');
  examples(
    withJson(key.command('create').argument('<name>', 'for people, to know it by'))
      .description('Make a key: its text on stdout, once.')
      .option('--permission <name>', 'only this of what you may do; repeatable', collect)
      .option('--target <target>', 'only on this target; repeatable', collect)
      .option('--label <key=value>', 'only commands with this label, which is put on them; repeatable', collectPair)
      .option('--expires <time>', 'not good any more after this, such as 30d', parseDuration)
      .option('--member <id>', 'whom it speaks for (default: you)')
      .action(async (name, _, command) => onExit(await (await keys()).createKey(name, optionsOf(command), terminal))),
    ['errand key create ci --permission commands:submit --permission commands:read --expires 90d'],
  );
  withJson(key.command('list'))
    .description('List your keys; all of the tenant’s if you manage them.')
    .action(async (_, command) => onExit(await (await keys()).listKeys(optionsOf(command), terminal)));
  withJson(key.command('rotate').argument('<id>'))
    .description('Make a key that replaces one, which stays good for a while.')
    .option('--overlap <time>', 'how long the old one stays good (default 1d)', parseDuration)
    .option('--expires <time>', 'not good any more after this', parseDuration)
    .action(async (id, _, command) => onExit(await (await keys()).rotateKey(id, optionsOf(command), terminal)));
  key
    .command('revoke')
    .argument('<id...>')
    .description('Revoke keys: from now on they are not good.')
    .action(async (ids, _, command) => onExit(await (await keys()).revokeKeys(ids, optionsOf(command), terminal)));
};
