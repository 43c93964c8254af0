import { collect, collectPair } from '../arguments.ts';
import { type Cli, examples } from './cli.ts';

/** Which servers there are, and how to sign in to them. */
export const addServers = ({ program, terminal, onExit, optionsOf }: Cli): void => {
  const logins = () => import('../commands/login.ts');
  examples(
    program
      .command('login')
      .description(
        'Sign in at an issuer whose access tokens the server takes, by a code entered in any browser; or by a key, which the server trades for a session token and nobody keeps here.',
      )
      .option('--issuer <url>', 'where to sign in')
      .option('--client-id <id>', 'what this program is called there')
      .option('--audience <name>', 'what the server is called there, if it asks')
      .option('--scope <scope>', 'what to ask for (default "openid offline_access")')
      .option('--api-key-stdin', 'trade the key (or access token) on stdin for a session token, and keep that')
      .option('--permission <name>', 'with a key: only this of what it may do; repeatable', collect)
      .option('--target <target>', 'with a key: only on this target; repeatable', collect)
      .option('--label <key=value>', 'with a key: only commands with this label, put on them; repeatable', collectPair)
      .option('--full', 'with a key: also what gives access to others, such as to make keys')
      .action(async (_, command) => onExit(await (await logins()).login(optionsOf(command), terminal))),
    [
      'errand login --profile work --url https://errand.example.com --issuer https://login.example.com --client-id errand-cli',
      'errand login --profile work                # again',
      'pass show errand | errand login --profile ci --url https://errand.example.com --api-key-stdin',
    ],
  );
  program
    .command('logout')
    .description('Forget a login, and have it revoked.')
    .action(async (_, command) => onExit(await (await logins()).logout(optionsOf(command), terminal)));
  const profile = program.command('profile').description('Name servers, for --profile.');
  examples(
    profile
      .command('add')
      .argument('<name>')
      .description('Name a server (--url), with the key in ERRAND_API_KEY if there is one.')
      .option('--stream-url <url>', 'where live output is, if elsewhere')
      .action(async (name, _, command) =>
        onExit(await (await logins()).addProfile(name, optionsOf(command), terminal)),
      ),
    ['ERRAND_API_KEY=$(pass show errand) errand profile add work --url https://errand.example.com'],
  );
  profile
    .command('list')
    .description('List the profiles.')
    .action(async () => onExit(await (await logins()).listProfiles(terminal)));
  profile
    .command('remove')
    .argument('<name...>')
    .description('Remove profiles, with what was kept of their logins.')
    .action(async (names) => onExit(await (await logins()).removeProfiles(names, terminal)));
};
