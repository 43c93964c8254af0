import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { cancelUnlessOver } from '../../sdk/cancel-unless-over.ts';
import type { Client } from '../../sdk/client.ts';
import type { NewWorkflow, Workflow, WorkflowSummary } from '../../sdk/workflows.ts';
import { UsageError } from '../arguments.ts';
import { type ConnectOptions, withConnection } from '../connect.ts';
import { EXIT } from '../exit-codes.ts';
import { type Interrupts, watchInterrupts } from '../interrupts.ts';
import { ago, table } from '../render.ts';
import { isBrokenPipe, plain, say, type Terminal, write } from '../terminal.ts';
import { type Board, makeBoard, nodeLine, widthOf } from '../workflow-board.ts';

export interface WorkflowOptions extends ConnectOptions {
  readonly json?: boolean;
  readonly status?: Workflow['status'];
}

/** Runs one, and resolves with 0 if it succeeded. */
export const runWorkflow = async (file: string, options: WorkflowOptions, terminal: Terminal): Promise<number> => {
  const workflow = await readWorkflow(file, terminal);
  const interrupts = watchInterrupts(terminal);
  try {
    return await withConnection({ ...options, trySandbox: true }, terminal, async ({ client }) => {
      const { id } = await client.submitWorkflow(workflow);
      return attend(client, id, { interrupts, options, terminal });
    });
  } finally {
    interrupts.stop();
  }
};

/** Follows one that runs, and resolves as `runWorkflow` does. Whoever leaves leaves it running. */
export const watchWorkflow = (id: string, options: WorkflowOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, work: false }, terminal, ({ client }) => attend(client, id, { options, terminal }));

/** Stores one and prints its id alone. */
export const submitWorkflow = async (file: string, options: WorkflowOptions, terminal: Terminal): Promise<number> => {
  const workflow = await readWorkflow(file, terminal);
  return withConnection({ ...options, work: false, trySandbox: true }, terminal, async ({ client, embedded }) => {
    const made = await client.submitWorkflow(workflow);
    await write(terminal.stdout, options.json ? `${JSON.stringify(made)}\n` : `${made.id}\n`);
    if (embedded) say(terminal, 'stored; it runs as soon as `errand serve` does, and none does here');
    return 0;
  });
};

export const listWorkflows = (options: WorkflowOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, work: false }, terminal, async ({ client }) => {
    const rows: string[][] = [];
    for await (const one of client.listWorkflows({ status: options.status })) {
      if (options.json) await write(terminal.stdout, `${JSON.stringify(one)}\n`);
      else rows.push([one.id, statusOf(one), countsText(one), ago(one.submittedAt), plain(one.name)]);
    }
    if (!options.json) {
      await write(
        terminal.stdout,
        table(['ID', 'STATUS', 'NODES', 'SUBMITTED', 'NAME'], rows, terminal.stdout.columns),
      );
    }
    return 0;
  });

export const showWorkflow = (id: string, options: WorkflowOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, work: false }, terminal, async ({ client }) => {
    const workflow = await client.getWorkflow(id);
    await write(terminal.stdout, options.json ? `${JSON.stringify(workflow)}\n` : toText(terminal, workflow));
    return 0;
  });

/** Cancels them, one after the other. */
export const cancelWorkflows = (
  ids: readonly string[],
  options: WorkflowOptions,
  terminal: Terminal,
): Promise<number> =>
  withConnection({ ...options, work: false }, terminal, async ({ client }) => {
    for (const id of ids) {
      const canceled = await client.cancelWorkflow(id);
      if (options.json) await write(terminal.stdout, `${JSON.stringify(canceled)}\n`);
    }
    return 0;
  });

export const resumeWorkflow = (id: string, options: WorkflowOptions, terminal: Terminal): Promise<number> =>
  withConnection({ ...options, work: false }, terminal, async ({ client, embedded }) => {
    const resumed = await client.resumeWorkflow(id);
    await write(terminal.stdout, options.json ? `${JSON.stringify(resumed)}\n` : `generation ${resumed.generation}\n`);
    if (embedded) say(terminal, 'stored; it runs as soon as `errand serve` does, and none does here');
    return 0;
  });

const readWorkflow = async (file: string, terminal: Terminal): Promise<NewWorkflow> => {
  const json = file === '-' ? await text(terminal.stdin) : await readFile(file, 'utf8');
  try {
    return JSON.parse(json) as NewWorkflow;
  } catch (error) {
    throw new UsageError(`${file} is not JSON: ${(error as Error).message}`);
  }
};

interface Attending {
  readonly interrupts?: Interrupts;
  readonly options: WorkflowOptions;
  readonly terminal: Terminal;
}

const SILENT: Board = { all: () => {}, node: () => {}, end: () => {} };

const attend = async (client: Client, id: string, { interrupts, options, terminal }: Attending): Promise<number> => {
  interrupts?.cancels(id, () => cancel(client, id));
  const board = options.json ? SILENT : makeBoard(terminal);
  let broken = false;
  const failed = (error: Error) => {
    broken ||= isBrokenPipe(error);
  };
  terminal.stdout.on('error', failed);
  try {
    for await (const event of client.followWorkflow(id)) {
      if (options.json) await write(terminal.stdout, `${JSON.stringify(event)}\n`);
      if (broken) break;
      if (event.type === 'node') board.node(event.node);
      else if (event.type === 'workflow') board.all(event.workflow);
      else {
        board.end(event.workflow);
        if (!options.json) tellEnd(event.workflow, terminal);
        return exitCodeOf(event.workflow);
      }
    }
  } catch (error) {
    if (!isBrokenPipe(error)) throw error;
  } finally {
    terminal.stdout.removeListener('error', failed);
  }
  // Whoever read our output has left: nobody wants the rest, unless somebody else began it.
  if (interrupts) await cancel(client, id);
  return EXIT.brokenPipe;
};

const cancel = (client: Client, id: string): Promise<void> => cancelUnlessOver({ cancel: client.cancelWorkflow }, id);

const EXITS = {
  running: EXIT.fault,
  succeeded: 0,
  failed: EXIT.denied,
  canceled: EXIT.interrupted,
  timed_out: EXIT.timedOut,
} as const satisfies Record<Workflow['status'], number>;
const exitCodeOf = ({ status }: Workflow): number => EXITS[status];

const tellEnd = ({ id, status, nodes }: Workflow, terminal: Terminal): void => {
  if (status === 'succeeded') return;
  const failed = nodes.filter((node) => node.status === 'failed').map(({ name }) => name);
  const what = failed.length > 0 ? ` (${failed.slice(0, 5).join(', ')}${failed.length > 5 ? ', …' : ''})` : '';
  const said = { failed: 'failed', canceled: 'was canceled', timed_out: 'was stopped after its time-out', running: '' };
  say(terminal, `${id} ${said[status]}${what}. \`errand workflow resume ${id}\` runs again what did not succeed.`);
};

const statusOf = ({ status, stopping }: WorkflowSummary): string => (stopping ? `${status}, stopping` : status);

const countsText = ({ counts }: WorkflowSummary): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([status, count]) => `${count} ${status}`)
    .join(', ');

const toText = (terminal: Terminal, workflow: Workflow): string => {
  const { id, name, generation, member, submittedAt, endedAt } = workflow;
  const facts: readonly (readonly [string, string])[] = [
    ['id', id],
    ['name', plain(name) || '-'],
    ['status', statusOf(workflow)],
    ['generation', String(generation)],
    ['member', member],
    ['submitted', submittedAt],
    ['ended', endedAt ?? '-'],
  ];
  const lines = facts.map(([label, value]) => `${label.padEnd('generation'.length)}  ${value}\n`);
  const width = widthOf(workflow);
  return [...lines, '\n', ...workflow.nodes.map((node) => `${nodeLine(terminal, node, width)}\n`)].join('');
};
