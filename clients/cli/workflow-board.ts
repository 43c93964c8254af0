import type { Workflow, WorkflowNode } from '../sdk/workflows.ts';
import { paint, plain, type Terminal } from './terminal.ts';

const LOOKS = {
  waiting: ['·', 'gray'],
  running: ['▸', 'cyan'],
  succeeded: ['✔', 'green'],
  failed: ['✘', 'red'],
  skipped: ['–', 'gray'],
  canceled: ['■', 'yellow'],
} as const satisfies Record<WorkflowNode['status'], readonly [string, string]>;

/** One line about a node: its state, how many of its items are done, and why it did not succeed. */
export const nodeLine = (terminal: Terminal, node: WorkflowNode, width: number): string => {
  const [sign, colour] = LOOKS[node.status];
  const { items, exitCode, reason, detail, command } = node;
  const facts = [
    items ? `${items.succeeded}/${items.total}` : undefined,
    // What went well needs no explanation.
    node.status === 'failed' && exitCode !== null ? `exit code ${exitCode}` : undefined,
    node.status === 'failed' && exitCode !== null && reason === 'failed' ? undefined : (reason ?? undefined),
    detail ?? undefined,
    command ?? undefined,
  ].filter((fact) => fact !== undefined);
  const state = paint(terminal, terminal.stdout, colour, `${sign} ${node.status.padEnd('succeeded'.length)}`);
  return `${state}  ${plain(node.name).padEnd(width)}  ${plain(facts.join('  '))}`.trimEnd();
};

export const widthOf = ({ nodes }: Workflow): number => Math.max(...nodes.map(({ name }) => name.length));

/** What shows a workflow while it runs. */
export interface Board {
  all(workflow: Workflow): void;
  node(node: WorkflowNode): void;
  /** Leaves the last state on the screen. */
  end(workflow: Workflow): void;
}

/** On a terminal all nodes in place, as many as fit; elsewhere a line for each change. */
export const makeBoard = (terminal: Terminal): Board =>
  terminal.stdout.isTTY && terminal.env['TERM'] !== 'dumb' ? drawnBoard(terminal) : lineBoard(terminal);

const lineBoard = (terminal: Terminal): Board => {
  const told = new Map<string, string>();
  let width = 0;
  const node = (one: WorkflowNode): void => {
    const text = nodeLine(terminal, one, width);
    // One line says that it runs, and as what. The progress of items alone is no news for a log.
    const isToCome = one.status === 'waiting' || (one.status === 'running' && !one.items && one.command === null);
    if (isToCome || told.get(one.name) === one.status) return;
    told.set(one.name, one.status);
    terminal.stdout.write(`${text}\n`);
  };
  const all = (workflow: Workflow): void => {
    width = widthOf(workflow);
    for (const one of workflow.nodes) node(one);
  };
  return { all, node, end: all };
};

/** For the head, and the line below which the terminal would scroll. */
const OTHER_LINES = 2;
const LEAST_LINES = 3;

const drawnBoard = (terminal: Terminal): Board => {
  const { stdout } = terminal;
  const nodes = new Map<string, WorkflowNode>();
  let head = '';
  let width = 0;
  let drawn = 0;
  const draw = (isLast = false): void => {
    const rows = stdout.rows > 0 ? Math.max(LEAST_LINES, stdout.rows - OTHER_LINES) : Number.POSITIVE_INFINITY;
    const shown = isLast ? [...nodes.values()] : mostTelling([...nodes.values()], rows);
    const columns = stdout.columns > 0 ? stdout.columns : Number.POSITIVE_INFINITY;
    const lines = [head, ...shown.map((node) => nodeLine(terminal, fitted(node, width, columns), width))];
    const back = drawn > 0 ? `\u001b[${drawn}A\u001b[J` : '';
    stdout.write(`${back}${lines.map((line) => `${line}\n`).join('')}`);
    drawn = lines.length;
  };
  const take = (workflow: Workflow): void => {
    nodes.clear();
    for (const node of workflow.nodes) nodes.set(node.name, node);
    width = widthOf(workflow);
    head = headOf(workflow, nodes.size);
  };
  return {
    all(workflow) {
      take(workflow);
      draw();
    },
    node(node) {
      nodes.set(node.name, node);
      draw();
    },
    end(workflow) {
      take(workflow);
      draw(true);
    },
  };
};

const headOf = ({ id, name, generation }: Workflow, count: number): string =>
  plain([id, name, `${count} nodes`, generation > 1 ? `generation ${generation}` : ''].filter(Boolean).join('  '));

/** A line that wraps would be two, and not be drawn over. */
const fitted = (node: WorkflowNode, width: number, columns: number): WorkflowNode => {
  const left = columns - width - 'x succeeded    '.length - (node.command ? node.command.length + 2 : 0) - 24;
  return left < (node.detail?.length ?? 0) ? { ...node, detail: null } : node;
};

const RANK = { failed: 0, running: 1, canceled: 2, waiting: 3, succeeded: 4, skipped: 5 } as const satisfies Record<
  WorkflowNode['status'],
  number
>;

/** Where not all fit: what failed and what runs. */
const mostTelling = (nodes: readonly WorkflowNode[], rows: number): readonly WorkflowNode[] => {
  if (nodes.length <= rows) return nodes;
  const chosen = new Set(nodes.toSorted((a, b) => RANK[a.status] - RANK[b.status]).slice(0, rows));
  return nodes.filter((node) => chosen.has(node));
};
