import { parsePositive, parseWholeNumber } from '../arguments.ts';
import { type Cli, examples, withJson } from './cli.ts';

/** What commands may be, and the approvals that some of them need. */
export const addPolicy = ({ program, terminal, onExit, optionsOf, described }: Cli): void => {
  const policy = program.command('policy').description('Say what commands may be, and why one may not.');
  const policies = () => import('../commands/policy.ts');
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
  const approvals = () => import('../commands/approval.ts');
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
};
