import { Option } from 'commander';
import { WORKFLOW_STATUSES } from '../../../shared/domain/workflows.ts';
import { type Cli, examples, withJson } from './cli.ts';

/** Commands that need each other. */
export const addWorkflows = ({ program, terminal, onExit, optionsOf }: Cli): void => {
  const workflow = program.command('workflow').description('Run commands that need each other, as one graph.');
  const workflows = () => import('../commands/workflow.ts');
  examples(
    withJson(workflow.command('run').argument('<file>', 'the workflow as JSON, or - for stdin'))
      .description('Run a workflow, show its nodes live, and exit 0 if it succeeded.')
      .action(async (file, _, command) =>
        onExit(await (await workflows()).runWorkflow(file, optionsOf(command), terminal)),
      ),
    ['errand workflow run build.json', 'errand workflow run --json build.json | jq .status'],
  );
  withJson(workflow.command('submit').argument('<file>', 'the workflow as JSON, or - for stdin'))
    .description('Store a workflow and print its id; it runs without you.')
    .action(async (file, _, command) =>
      onExit(await (await workflows()).submitWorkflow(file, optionsOf(command), terminal)),
    );
  withJson(workflow.command('list'))
    .description('List workflows, newest first.')
    .addOption(new Option('--status <status>', 'only these').choices(WORKFLOW_STATUSES))
    .action(async (_, command) => onExit(await (await workflows()).listWorkflows(optionsOf(command), terminal)));
  withJson(workflow.command('show').argument('<id>'))
    .description('Show a workflow with the state and the command of each node.')
    .action(async (id, _, command) => onExit(await (await workflows()).showWorkflow(id, optionsOf(command), terminal)));
  withJson(workflow.command('watch').argument('<id>'))
    .description('Show the nodes of a workflow live, and exit as run does.')
    .action(async (id, _, command) =>
      onExit(await (await workflows()).watchWorkflow(id, optionsOf(command), terminal)),
    );
  withJson(workflow.command('cancel').argument('<id...>'))
    .description('Begin nothing more of workflows, and cancel what runs of them.')
    .action(async (ids, _, command) =>
      onExit(await (await workflows()).cancelWorkflows(ids, optionsOf(command), terminal)),
    );
  withJson(workflow.command('resume').argument('<id>'))
    .description('Run again what did not succeed of an ended workflow, and what needs that.')
    .action(async (id, _, command) =>
      onExit(await (await workflows()).resumeWorkflow(id, optionsOf(command), terminal)),
    );
};
