import { LIMITS } from './limits.ts';
import type { Claim, Condition, ForEach, PlannedNode, Reference, Referring, Value } from './workflows.ts';

/** What is wrong with a workflow, and where. */
export interface GraphFault {
  readonly path: readonly (string | number)[];
  readonly detail: string;
}

type Nodes = Readonly<Record<string, PlannedNode>>;

/** The faults of nodes that are each in order by themselves: unknown names, cycles, and what is referred to without being needed. */
export const faultsOf = (nodes: Nodes): readonly GraphFault[] => {
  const entries = Object.entries(nodes);
  const faults = entries.flatMap(([name, node]) => faultsOfNode(nodes, name, node));
  // What is told of cycles says nothing while names are not known.
  return faults.length > 0 ? faults : cyclesOf(nodes);
};

const faultsOfNode = (nodes: Nodes, name: string, node: PlannedNode): GraphFault[] => {
  const { needs = [], forEach, command } = node;
  const at = (path: readonly (string | number)[], detail: string): GraphFault => ({
    path: ['nodes', name, ...path],
    detail,
  });
  let all: ReadonlySet<string> | undefined;
  const neededFault = (wanted: string): string | undefined => {
    if (needs.includes(wanted)) return undefined;
    all ??= needsOf(nodes, name);
    return all.has(wanted) ? undefined : `names ${wanted}, which it does not need, nor does what it needs`;
  };
  const faults = needs.flatMap((needed, index) => {
    if (needed === name) return at(['needs', index], 'is the node itself');
    if (!Object.hasOwn(nodes, needed)) return at(['needs', index], `there is no node ${needed}`);
    return needs.indexOf(needed) < index ? at(['needs', index], `names ${needed} twice`) : [];
  });
  for (const { path, claim } of claimsOf(node.if)) {
    const detail = neededFault(claim.node) ?? manyFault(nodes, claim);
    if (detail) faults.push(at(['if', ...path, 'node'], detail));
  }
  if (forEach && 'fromOutput' in forEach) {
    const detail = neededFault(forEach.fromOutput);
    if (detail) faults.push(at(['forEach', 'fromOutput'], detail));
  }
  for (const { path, reference } of referencesOf(command)) {
    if ('fromItem' in reference) {
      if (!forEach) faults.push(at(['command', ...path, 'fromItem'], 'is of nodes with forEach only'));
      continue;
    }
    const detail = neededFault(reference.fromOutput) ?? manyJsonFault(nodes, reference);
    if (detail) faults.push(at(['command', ...path, 'fromOutput'], detail));
  }
  const script = scriptIn(command);
  if (script !== undefined) {
    faults.push(
      at(['command', 'argv', script], 'would be read as a script: give it behind the script, which has it as $1'),
    );
  }
  return faults;
};

/** All that has ended when a node is looked at. */
const needsOf = (nodes: Nodes, name: string): ReadonlySet<string> => {
  const found = new Set<string>();
  const queue = [name];
  for (const one of queue) {
    const { needs = [] } = (Object.hasOwn(nodes, one) ? nodes[one] : undefined) ?? {};
    for (const needed of needs) {
      if (found.has(needed)) continue;
      found.add(needed);
      queue.push(needed);
    }
  }
  return found;
};

const SHELL = /(^|\/)(sh|bash|dash|ash|zsh|ksh|fish)$/;

/** Where a reference stands in the place of a shell's script. */
const scriptIn = ({ argv = [] }: Referring): number | undefined => {
  const [program] = argv;
  if (typeof program !== 'string' || !SHELL.test(program)) return undefined;
  const flag = argv.findIndex((one) => typeof one === 'string' && /^-[A-Za-z]*c$/.test(one));
  return flag > 0 && typeof argv[flag + 1] === 'object' ? flag + 1 : undefined;
};

const hasMany = (nodes: Nodes, name: string): boolean => Object.hasOwn(nodes, name) && !!nodes[name]?.forEach;

const manyFault = (nodes: Nodes, { node, is }: Claim): string | undefined =>
  is === undefined && hasMany(nodes, node) ? `${node} has forEach, so it has many results: ask what it is` : undefined;

const manyJsonFault = (nodes: Nodes, { fromOutput, json }: { fromOutput: string; json?: string | undefined }) =>
  json !== undefined && hasMany(nodes, fromOutput)
    ? `${fromOutput} has forEach: its output is a list of texts`
    : undefined;

/** What a condition says of nodes, with where it does. */
const claimsOf = (
  condition: Condition | undefined,
): readonly { readonly path: readonly (string | number)[]; readonly claim: Claim }[] => {
  if (condition === undefined || typeof condition === 'string') return [];
  if ('node' in condition) return [{ path: [], claim: condition }];
  const [kind, parts] = 'all' in condition ? (['all', condition.all] as const) : (['any', condition.any] as const);
  return parts.flatMap((part, index) =>
    claimsOf(part).map(({ path, claim }) => ({ path: [kind, index, ...path], claim })),
  );
};

/** The references of a command, with where they stand. */
export const referencesOf = ({
  argv = [],
  env = {},
  stdin,
}: Referring): readonly { readonly path: readonly (string | number)[]; readonly reference: Reference }[] => {
  const all: readonly (readonly [readonly (string | number)[], Value | undefined])[] = [
    ...argv.map((value, index) => [['argv', index], value] as const),
    ...Object.entries(env).map(([name, value]) => [['env', name], value] as const),
    [['stdin'], stdin],
  ];
  return all.flatMap(([path, reference]) =>
    reference === undefined || typeof reference === 'string' ? [] : [{ path, reference }],
  );
};

const MOST_NAMED = 10;

/** At most one cycle, by its names. */
const cyclesOf = (nodes: Nodes): readonly GraphFault[] => {
  const order = orderOf(nodes);
  if (order.length === Object.keys(nodes).length) return [];
  const ordered = new Set(order);
  const stuck = Object.keys(nodes).filter((name) => !ordered.has(name));
  // Each of them needs another of them: whoever goes on so comes back.
  const needOf = (name: string): string => nodes[name]?.needs?.find((needed) => !ordered.has(needed)) ?? name;
  const walked: string[] = [];
  for (let name = stuck[0] ?? ''; !walked.includes(name); name = needOf(name)) walked.push(name);
  const cycle = walked.slice(walked.indexOf(needOf(walked.at(-1) ?? '')));
  const [first = ''] = cycle;
  const named = cycle.slice(0, MOST_NAMED);
  const more = cycle.length > MOST_NAMED ? [`… ${cycle.length - MOST_NAMED} more`] : [];
  return [{ path: ['nodes', first, 'needs'], detail: `is a cycle: ${[...named, ...more, first].join(' → ')}` }];
};

/** The names, each behind all that it needs, otherwise as they were given. Those in cycles, and behind them, are not in it. */
export const orderOf = (nodes: Readonly<Record<string, Pick<PlannedNode, 'needs'>>>): readonly string[] => {
  const left = new Map(Object.entries(nodes).map(([name, { needs = [] }]) => [name, new Set(needs).size]));
  const dependents = dependentsOf(nodes);
  const order: string[] = [...left].flatMap(([name, count]) => (count === 0 ? [name] : []));
  for (const name of order) {
    for (const dependent of dependents.get(name) ?? []) {
      const count = (left.get(dependent) ?? 0) - 1;
      left.set(dependent, count);
      if (count === 0) order.push(dependent);
    }
  }
  return order;
};

/** Of each node those that need it. */
export const dependentsOf = (
  nodes: Readonly<Record<string, Pick<PlannedNode, 'needs'>>>,
): ReadonlyMap<string, readonly string[]> => {
  const dependents = new Map<string, string[]>();
  for (const [name, { needs = [] }] of Object.entries(nodes)) {
    for (const needed of new Set(needs)) {
      const known = dependents.get(needed);
      if (known) known.push(name);
      else dependents.set(needed, [name]);
    }
  }
  return dependents;
};

/** How many commands are known to be asked for: of lists that come later, none. */
const knownRuns = (nodes: Readonly<Record<string, { readonly forEach?: ForEach | undefined }>>): number =>
  Object.values(nodes).reduce((sum, { forEach }) => {
    if (!forEach) return sum + 1;
    return sum + ('items' in forEach ? forEach.items.length : 0);
  }, 0);

/** What is wrong with how much of it there is. */
export const sizeFaultOf = (nodes: Readonly<Record<string, { readonly forEach?: ForEach | undefined }>>) => {
  const runs = knownRuns(nodes);
  return runs > LIMITS.workflowRuns ? `asks for ${runs} commands; at most ${LIMITS.workflowRuns} are run` : undefined;
};
