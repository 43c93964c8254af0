import { Argument, Command, CommanderError, Option } from 'commander';
import { ISOLATION_LEVELS, PRIORITIES, STATUSES } from '../../shared/domain/command.ts';
import { CATCH_UPS, OVERLAPS } from '../../shared/domain/schedules.ts';
import {
  collect,
  collectCause,
  collectEnv,
  collectEventType,
  collectLevel,
  collectPair,
  parseAmount,
  parseDuration,
  parseMebibytes,
  parsePositive,
  parseWholeNumber,
} from './arguments.ts';
import type { RunOptions } from './commands/run.ts';
import type { Terminal } from './terminal.ts';
import { VERSION } from './version.ts';

/** Tells main the exit code of the one command that was asked for. */
export type OnExit = (code: number) => void;

/**
 * Every command of the CLI as data: its words, options and examples. What it does is a file under commands/, loaded
 * when it is asked for.
 */
export const makeProgram = (terminal: Terminal, onExit: OnExit): Command => {
  const program = new Command('errand')
    .description(
      [
        'Runs commands somewhere else and brings back what they said.\n',
        'Examples:',
        '  errand run -- echo hello               its output here, its exit code ours',
        '  cat data | errand run -- wc -l         its input, too',
        '  errand serve                           a server for submit, logs -f, HTTP',
        '  errand ps --all                        what was run',
      ].join('\n'),
    )
    .version(VERSION, '-V, --version')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .showHelpAfterError('Try errand --help, or errand <command> --help.')
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text.replace(/^error: /, 'errand: ')),
    })
    .exitOverride();

  for (const option of whereOptions()) program.addOption(option);
  /** Options before and after the command's name count alike. */
  const optionsOf = <T>(command: Command): T => ({ ...program.opts(), ...command.opts() }) as T;
  /** Examples stand before the options: they are what people look for. */
  const examples = (command: Command, lines: readonly string[]): Command =>
    command
      .summary(command.description())
      .description(`${command.description()}\n\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`);
  const withJson = (command: Command): Command =>
    command.option('--json', 'one JSON object a line on stdout, and nothing else');

  const described = (command: Command): Command =>
    command
      .option('--on <target>', 'where to run it: a target or a pool; see errand providers')
      .option('--failover <target>', 'where else, when that is down or does not take it; repeatable, in order', collect)
      .option('--script <file>', 'run a shell script from a file, or from stdin with -')
      .option('--shell <path>', 'the shell for --script (default /bin/sh)')
      .option(
        '--env <name=value>',
        'a variable; a bare NAME takes its value from here; repeatable',
        collectEnv(terminal),
      )
      .option('--secret <name=secret>', 'a variable that holds a stored secret; repeatable', collectPair)
      .option('--cwd <folder>', 'where it runs (default: an empty folder of its own)')
      .option('--image <image>', 'a container image, where the target runs images')
      .option('--cpu <count>', 'processors, where the target lets one ask', parseAmount)
      .option('--memory <amount>', 'memory such as 512M or 2G, where the target lets one ask', parseMebibytes)
      .option('--timeout <time>', 'stop it after this, such as 60s, 5m, 1h30m (default 1h)', parseDuration)
      .option('--queue-ttl <time>', 'give up if it has not started by then (default 1h)', parseDuration)
      .option('--label <key=value>', 'a label; repeatable', collectPair)
      .addOption(new Option('--priority <priority>', 'before or after others').choices(PRIORITIES))
      .addOption(new Option('--isolation <level>', 'at least these walls, or refuse').choices(ISOLATION_LEVELS))
      .option('--retry <times>', 'run it at most so many times in all', parseWholeNumber)
      .option('--retry-on <cause>', 'lost, provider-error or nonzero-exit; repeatable (default: all)', collectCause);
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
        if (options.detach) onExit(await (await import('./commands/submit.ts')).submit(argv, options, terminal));
        else onExit(await (await import('./commands/run.ts')).run(argv, options, terminal));
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
        onExit(await (await import('./commands/submit.ts')).submit(argv, optionsOf(command), terminal)),
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
        onExit(await (await import('./commands/logs.ts')).logs(id, optionsOf(command), terminal)),
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
      .action(async (_, command) => onExit(await (await import('./commands/ps.ts')).ps(optionsOf(command), terminal))),
    [
      'errand ps',
      'errand ps --all --status failed',
      "errand ps --all --json | jq -r 'select(.result.exitCode == 1) | .id'",
    ],
  );
  withJson(program.command('show').argument('<id>', 'a command, or last'))
    .description('Show all that is known of a command.')
    .action(async (id, _, command) =>
      onExit(await (await import('./commands/show.ts')).show(id, optionsOf(command), terminal)),
    );
  withJson(program.command('cancel').argument('<id...>', 'commands, or last'))
    .description('End commands with all that they started: TERM, grace, KILL.')
    .option('--wait', 'until they were seen gone')
    .action(async (ids, _, command) =>
      onExit(await (await import('./commands/cancel.ts')).cancel(ids, optionsOf(command), terminal)),
    );
  withJson(
    program
      .command('signal')
      .argument('<id>', 'a command, or last')
      .addArgument(new Argument('<signal>', 'such as HUP or USR1')),
  )
    .description('Send one signal to a running command.')
    .action(async (id, name, _, command) =>
      onExit(await (await import('./commands/cancel.ts')).signal(id, name, optionsOf(command), terminal)),
    );
  examples(
    withJson(program.command('move').argument('<id>', 'a command, or last'))
      .description('Have its next attempt on another target that it was submitted for.')
      .requiredOption('--to <target>', 'one of its own target, if that is a pool, or of its --failover')
      .action(async (id, _, command) =>
        onExit(await (await import('./commands/move.ts')).move(id, optionsOf(command), terminal)),
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
        onExit(await (await import('./commands/submit.ts')).replay(id, argv, optionsOf(command), terminal)),
      ),
    ['errand replay last', 'errand replay --timeout 10m cmd_01j…'],
  );
  withJson(program.command('providers'))
    .description('List targets, what they can do, and whether they are healthy.')
    .action(async (_, command) =>
      onExit(await (await import('./commands/providers.ts')).listProviders(optionsOf(command), terminal)),
    );
  withJson(program.command('whoami'))
    .description('Say who you are to the server, and what you may do.')
    .action(async (_, command) =>
      onExit(await (await import('./commands/key.ts')).whoami(optionsOf(command), terminal)),
    );
  const key = program.command('key').description('Make, list, rotate and revoke keys.');
  const keys = () => import('./commands/key.ts');
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
  const secret = program.command('secret').description('Store values that commands are given by reference.');
  const secrets = () => import('./commands/secret.ts');
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
  const schedule = program
    .command('schedule')
    .description('Run commands at times to come: by cron, at a rate, or once.');
  const schedules = () => import('./commands/schedule.ts');
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
  const logins = () => import('./commands/login.ts');
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
  const tenancy = () => import('./commands/tenancy.ts');
  const scoped = (command: Command): Command =>
    command
      .option('--target <target>', 'only on this target; repeatable', collect)
      .option('--label <key=value>', 'only commands with this label, which is put on them; repeatable', collectPair);
  const member = program.command('member').description('Say who belongs to the tenant, and as what.');
  examples(
    scoped(withJson(member.command('add').argument('<name>', 'for people, to know it by')))
      .description('Add a person or a service account: its id on stdout.')
      .option('--role <role>', 'what it may do; see errand role list')
      .option('--service', 'a program’s account')
      .option('--issuer <url>', 'whose access tokens speak for it; with --subject')
      .option('--subject <subject>', 'as whom, at the issuer')
      .action(async (name, _, command) =>
        onExit(await (await tenancy()).addMember(name, optionsOf(command), terminal)),
      ),
    ['id=$(errand member add ci --service --role operator); errand key create ci --member "$id"'],
  );
  withJson(member.command('list'))
    .description('List the tenant’s members.')
    .action(async (_, command) => onExit(await (await tenancy()).listMembers(optionsOf(command), terminal)));
  scoped(withJson(member.command('change').argument('<id>')))
    .description('Change a member; it holds for its next request.')
    .option('--name <name>', 'for people')
    .option('--role <role>', 'what it may do')
    .option('--disable', 'none of its credentials is good meanwhile')
    .option('--enable', 'they are good again')
    .action(async (id, _, command) => onExit(await (await tenancy()).changeMember(id, optionsOf(command), terminal)));
  member
    .command('remove')
    .argument('<id...>')
    .description('Remove members: none of their keys is good any more.')
    .action(async (ids, _, command) =>
      onExit(await (await tenancy()).removeMembers(ids, optionsOf(command), terminal)),
    );
  const role = program.command('role').description('Say what roles may do.');
  withJson(role.command('list'))
    .description('List the built-in roles and the tenant’s own.')
    .action(async (_, command) => onExit(await (await tenancy()).listRoles(optionsOf(command), terminal)));
  examples(
    withJson(role.command('put').argument('<name>', 'lower-case letters, digits and -'))
      .description('Make or change a role of the tenant’s own.')
      .option('--permission <name>', 'what it may do; repeatable', collect)
      .option('--description <text>', 'for people')
      .action(async (name, _, command) => onExit(await (await tenancy()).putRole(name, optionsOf(command), terminal))),
    ['errand role put releaser --permission commands:submit --permission commands:read'],
  );
  role
    .command('remove')
    .argument('<name>')
    .description('Remove a role; whoever has it may do nothing any more.')
    .action(async (name, _, command) => onExit(await (await tenancy()).removeRole(name, optionsOf(command), terminal)));
  const tenant = program.command('tenant').description('Make, change and remove tenants, as the installation’s owner.');
  const limited = (command: Command): Command =>
    command.option(
      '--limit <name=amount>',
      'such as commandsPerDay=1000, instead of all it has; repeatable',
      collectPair,
    );
  limited(withJson(tenant.command('add').argument('<id>', 'lower-case letters, digits and -')))
    .description('Make a tenant with its first admin: that one’s key on stdout, once.')
    .option('--name <name>', 'for people (default: its id)')
    .option('--admin <name>', 'the first admin’s name')
    .action(async (id, _, command) => onExit(await (await tenancy()).addTenant(id, optionsOf(command), terminal)));
  withJson(tenant.command('list'))
    .description('List the tenants.')
    .action(async (_, command) => onExit(await (await tenancy()).listTenants(optionsOf(command), terminal)));
  limited(withJson(tenant.command('change').argument('<id>')))
    .description('Rename a tenant, limit it, suspend it or let it in again.')
    .option('--name <name>', 'for people')
    .option('--suspend', 'none of its credentials is good meanwhile')
    .option('--resume', 'they are good again')
    .action(async (id, _, command) => onExit(await (await tenancy()).changeTenant(id, optionsOf(command), terminal)));
  withJson(tenant.command('remove').argument('<id>'))
    .description('Remove a tenant with all that it stored; its audit log stays, and its id is never used again.')
    .option('--yes', 'without asking for the id once more')
    .action(async (id, _, command) => onExit(await (await tenancy()).removeTenant(id, optionsOf(command), terminal)));
  withJson(program.command('usage'))
    .description('Say what the tenant used today, and its limits.')
    .action(async (_, command) => onExit(await (await tenancy()).usage(optionsOf(command), terminal)));
  const policy = program.command('policy').description('Say what commands may be, and why one may not.');
  const policies = () => import('./commands/policy.ts');
  examples(
    withJson(policy.command('apply').argument('<file>', 'a policy in JSON; - for stdin'))
      .description('Apply a policy: a new version, which holds for the next submission.')
      .option('--comment <text>', 'for people')
      .option('--on-version <version>', 'only if this is the present one; 0 if there is none', parseWholeNumber)
      .action(async (file, _, command) =>
        onExit(await (await policies()).applyPolicy(file, optionsOf(command), terminal)),
      ),
    ['errand policy apply policy.json --comment "no pushes from agents"'],
  );
  withJson(policy.command('show').argument('[version]', 'default: the present one', parsePositive))
    .description('Print a policy.')
    .action(async (version, _, command) =>
      onExit(await (await policies()).showPolicy(version, optionsOf(command), terminal)),
    );
  withJson(policy.command('list'))
    .description('List the versions, the present one marked.')
    .action(async (_, command) => onExit(await (await policies()).listPolicies(optionsOf(command), terminal)));
  withJson(policy.command('restore').argument('<version>', 'an earlier one', parsePositive))
    .description('Apply an earlier policy again, as a new version.')
    .option('--comment <text>', 'for people')
    .action(async (version, _, command) =>
      onExit(await (await policies()).restorePolicy(version, optionsOf(command), terminal)),
    );
  examples(
    withJson(described(policy.command('explain').argument('[cmd...]', 'the program and its arguments, after --')))
      .description('Say what the policy makes of a command, by which rule and why. Nothing is submitted.')
      .option('--policy <file>', 'this one instead of the present one; - for stdin')
      .option('--role <role>', 'as one of this role')
      .option('--at <time>', 'at this time, such as 2026-12-24T20:00:00Z')
      .passThroughOptions()
      .action(async (argv, _, command) =>
        onExit(await (await policies()).explainPolicy(argv, optionsOf(command), terminal)),
      ),
    ['errand policy explain -- git push', 'errand policy explain --policy new.json --role agent --script deploy.sh'],
  );
  const approval = program.command('approval').description('Answer what needs an approval.');
  const approvals = () => import('./commands/approval.ts');
  withJson(approval.command('list'))
    .description('List what waits for an answer.')
    .option('-a, --all', 'the answered and expired ones too')
    .action(async (_, command) => onExit(await (await approvals()).listApprovals(optionsOf(command), terminal)));
  withJson(approval.command('show').argument('<id>'))
    .description('Show all of what is asked.')
    .action(async (id, _, command) => onExit(await (await approvals()).showApproval(id, optionsOf(command), terminal)));
  for (const [verb, approve, words] of [
    ['approve', true, 'Approve of commands of others: each may be submitted once, as it is.'],
    ['reject', false, 'Reject commands of others.'],
  ] as const) {
    withJson(approval.command(verb).argument('<id...>'))
      .description(words)
      .option('--comment <text>', 'what who asked is told')
      .action(async (ids, _, command) =>
        onExit(await (await approvals()).answerApprovals(ids, approve, optionsOf(command), terminal)),
      );
  }
  const audit = program
    .command('audit')
    .description('Read what was done and decided, and prove that none of it was changed.');
  const audits = () => import('./commands/audit.ts');
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
        onExit(await (await import('./commands/events.ts')).events(optionsOf(command), terminal)),
      ),
    ['errand events -f', 'errand events -f --type security.alert --json', 'errand events --command last'],
  );
  program
    .command('receipt')
    .argument('<id>', 'a command that has ended')
    .description('Print a signed statement of how a command ended.')
    .action(async (id, _, command) => onExit(await (await audits()).printReceipt(id, optionsOf(command), terminal)));
  program
    .command('serve')
    .description('Start the embedded server: API, store and execution in this process.')
    .option('--host <address>', 'where to listen; beyond loopback it needs TLS or a proxy, and a name', '127.0.0.1')
    .option('--port <port>', '0 for any that is free', parseWholeNumber, 7070)
    .option('--tls-cert <file>', 'certificate chain, PEM')
    .option('--tls-key <file>', 'its key, PEM')
    .option('--trusted-proxy <address>', 'a proxy that speaks TLS for this server; repeatable', collect)
    .option('--public-host <name>', 'a name that callers know it by; repeatable', collect)
    .option('--concurrency <count>', 'how many commands run at once; the others wait', parsePositive, 64)
    .action(async (_, command) =>
      onExit(await (await import('./commands/serve.ts')).serve(optionsOf(command), terminal)),
    );
  const backups = () => import('./commands/backup.ts');
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
        onExit(await (await import('./commands/mcp.ts')).mcp(optionsOf(command), terminal)),
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
        onExit(await (await import('./commands/doctor.ts')).doctor(optionsOf(command), terminal)),
      ),
    ['errand doctor', 'errand doctor --isolation', 'errand doctor --level none'],
  );
  examples(
    program
      .command('completion')
      .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
      .description('Print a completion script for a shell.')
      .action(async (shell) => {
        const { completion } = await import('./completion.ts');
        terminal.stdout.write(completion(program, shell));
      }),
    ['source <(errand completion bash)', 'errand completion fish > ~/.config/fish/completions/errand.fish'],
  );
  for (const command of program.commands.flatMap((one) => [one, ...one.commands])) {
    for (const option of whereOptions()) command.addOption(command.name() === 'serve' ? option : option.hideHelp());
    command.exitOverride().configureOutput(program.configureOutput());
  }
  return program;
};

/** Where the server is. */
const whereOptions = (): Option[] => [
  new Option('--url <url>', 'the server (ERRAND_URL); without one, the server on the data folder, or none at all'),
  new Option('--profile <name>', 'a server from ~/.config/errand/config.json (ERRAND_PROFILE)'),
  new Option('--data <folder>', 'the data folder of the embedded server (ERRAND_DATA; default ./.errand)'),
];

/** Help and version were asked for, so they are no fault. */
export const isHelp = (error: unknown): boolean => error instanceof CommanderError && error.exitCode === 0;
export const isUsageError = (error: unknown): error is CommanderError => error instanceof CommanderError;
