import {
  type Execution,
  type Generation,
  type History,
  isFinal,
  type Place,
  type SeenNode,
  type StoredStatus,
  type WorkflowHistory,
} from './history.ts';

/*
 * The promises of docs/workflows.md. As the rest of the checker it imports nothing of the product: what a graph comes to is worked out here
 * again, from how its commands ended.
 */

/** A command of a workflow, with its places among all that was stored. */
interface Part {
  readonly id: string;
  readonly node: string;
  readonly item: number;
  readonly status: string;
  readonly submitted: Place;
  /** Infinite as long as it has not ended. */
  readonly ended: Place;
}

interface Judged {
  readonly workflow: WorkflowHistory;
  readonly parts: readonly Part[];
  readonly history: History;
}

/** @returns what was broken, a sentence each */
export const checkWorkflows = (history: History): string[] =>
  history.workflows.flatMap((workflow) => {
    const judged = { workflow, history, parts: partsOf(workflow, history) };
    return [
      isOneAndEnds(judged),
      runsEachOnce(judged),
      runsInOrder(judged),
      runsNoMoreAtOnce(judged),
      knowsItsCommands(judged),
      endsAsItsCommandsDid(judged),
      handsOnWhatWasWritten(judged),
      runsAgainWhatFailed(judged),
      isCanceledForGood(judged),
      isAudited(judged),
    ].flatMap((faults) => faults.map((fault) => `${workflow.name}: ${fault}`));
  });

const partsOf = ({ id }: WorkflowHistory, { finals, stored }: History): Part[] => {
  const placeOf = (is: (one: StoredStatus) => boolean): Place => stored.find(is)?.place ?? Number.POSITIVE_INFINITY;
  return finals.flatMap(({ seen, partOf }) => {
    if (partOf?.workflow !== id) return [];
    return [
      {
        ...{ id: seen.id, node: partOf.node, item: partOf.item, status: seen.status },
        submitted: placeOf(({ command }) => command === seen.id),
        ended: placeOf(({ command, status }) => command === seen.id && isFinal(status)),
      },
    ];
  });
};

/** The one that ran at a place, or had ended last. */
const generationAt = (generations: readonly Generation[], place: Place): Generation | undefined =>
  generations.findLast(({ begins }) => begins <= place);

/** What was acknowledged is there, is one, and has ended. */
const isOneAndEnds = ({ workflow: { acknowledged, found, status, generations } }: Judged): string[] => {
  const faults: string[] = [];
  if (new Set(acknowledged).size > 1) faults.push(`acknowledged as ${acknowledged.length} workflows`);
  if (found.length > 1) faults.push(`became ${found.length} workflows, though its key was the same`);
  if (acknowledged.some((id) => !found.includes(id))) faults.push('was acknowledged and is not there');
  if (found.length > 0 && (status === 'running' || generations.at(-1)?.status !== status))
    faults.push(`has not ended: ${status}`);
  return faults;
};

/** One command at most for each node, item and generation; none before the workflow is there, or once it has ended. */
const runsEachOnce = ({ workflow: { generations, nodes }, parts }: Judged): string[] => {
  const faults: string[] = [];
  const seen = new Set<string>();
  for (const { node, item, submitted, ended } of parts) {
    const generation = generationAt(generations, submitted);
    const where = `${node}/${item}`;
    if (!nodes.some(({ name }) => name === node)) faults.push(`${where} is of no node`);
    if (!generation) faults.push(`${where} was submitted before the workflow was there`);
    if (!generation) continue;
    const { number, ends = Number.POSITIVE_INFINITY } = generation;
    if (submitted >= ends) faults.push(`${where} was submitted after generation ${number} had ended`);
    else if (ended >= ends) faults.push(`${where} had not ended when generation ${number} had`);
    const key = `${where} of generation ${number}`;
    if (seen.has(key)) faults.push(`${key} was submitted twice`);
    seen.add(key);
  }
  return faults;
};

/** No node before all that it needs has ended. */
const runsInOrder = ({ workflow: { nodes }, parts }: Judged): string[] =>
  parts.flatMap(({ node, item, submitted }) => {
    const needs = nodes.find(({ name }) => name === node)?.needs ?? [];
    return parts
      .filter((other) => needs.includes(other.node) && other.submitted < submitted && other.ended > submitted)
      .map((other) => `${node}/${item} was submitted before ${other.node}/${other.item} had ended`);
  });

const runsNoMoreAtOnce = ({ workflow: { concurrency }, parts }: Judged): string[] => {
  const most = Math.max(
    0,
    ...parts.map(({ submitted: at }) => parts.filter(({ submitted, ended }) => submitted <= at && at < ended).length),
  );
  return most > concurrency ? [`${most} commands at once, of ${concurrency}`] : [];
};

/** Each command is one that the workflow told of when that generation ended. */
const knowsItsCommands = ({ workflow: { generations }, parts }: Judged): string[] =>
  parts.flatMap(({ id, node, item, submitted }) => {
    const generation = generationAt(generations, submitted);
    const isKnown = generation?.commands?.includes(id) ?? true;
    return isKnown ? [] : [`${node}/${item} of generation ${generation?.number} ran, and the workflow never knew`];
  });

/** A node's end is that of its commands, and it ran if and only if its condition held. */
const endsAsItsCommandsDid = ({ workflow, parts, history }: Judged): string[] => {
  const { nodes, status, failFast, generations, timeoutSeconds, wasToCancel } = workflow;
  const faults: string[] = [];
  const wasStopped = status === 'canceled' || status === 'timed_out';
  for (const node of nodes) {
    const { name, runs } = node;
    const say = (what: string) => faults.push(`${name}, ${node.status}, ${what}`);
    const ends = runs.map(({ command }) => parts.find(({ id }) => id === command)?.status);
    if (node.status === 'succeeded' && ends.some((end) => end !== 'succeeded')) say(`its commands ${ends}`);
    if (node.status === 'failed' && !ends.some((end) => end !== undefined && end !== 'succeeded'))
      say(`without a command that failed: ${node.reason}`);
    if (node.status === 'canceled' && !wasStopped && !failFast) say('and nobody asked for it');
    if (node.status === 'skipped' && runs.length > 0 && !failFast) say('and has commands');
    for (const [i, run] of runs.entries()) {
      const end = ends[i];
      if ((run.status === 'succeeded') !== (end === 'succeeded'))
        say(`its run ${i} is ${run.status}, its command ${end}`);
    }
    // What stops a workflow comes between its condition and its beginning.
    if (wasStopped || failFast) continue;
    const holds = conditionHolds(node, nodes);
    if (holds !== (node.status !== 'skipped')) say(`its condition ${holds ? 'holds' : 'does not hold'}`);
    if (holds && node.items === undefined && runs.length !== 1) say(`has ${runs.length} commands`);
    if (holds && Array.isArray(node.items) && runs.length !== node.items.length) say(`has ${runs.length} items`);
  }
  const hasFailed = nodes.some((node) => node.status === 'failed' && !node.allowFailure);
  const isCanceled = nodes.some((node) => node.status === 'canceled');
  if (status === 'succeeded' && (hasFailed || isCanceled)) faults.push('succeeded, and a node did not');
  if (status === 'failed' && !hasFailed) faults.push('failed, and no node did');
  if (status === 'canceled' && !wasToCancel) faults.push('is canceled, and nobody asked for it');
  const { beganAt = 0, endedAt = 0 } = generations.at(-1) ?? {};
  if (status === 'timed_out' && !history.clocksWereWrong && endedAt - beganAt < timeoutSeconds * 1_000)
    faults.push('timed out before its time');
  return faults;
};

const conditionHolds = ({ needs, condition }: SeenNode, nodes: readonly SeenNode[]): boolean => {
  const find = (name: string): SeenNode | undefined => nodes.find((one) => one.name === name);
  const needed = needs.flatMap((name) => find(name) ?? []);
  if (condition === 'always') return true;
  if (condition === 'failed') return needed.some(({ status }) => status === 'failed');
  if (typeof condition === 'string')
    return needed.every(({ status, allowFailure }) => status === 'succeeded' || (status === 'failed' && allowFailure));
  const { status = '', exitCode = null } = find(condition.node) ?? {};
  if (condition.is) return condition.is.includes(status);
  return (status === 'succeeded' || status === 'failed') && exitCode === condition.exitCode;
};

/** What is executed was given what the nodes before it wrote, to the byte. */
const handsOnWhatWasWritten = ({ workflow, parts, history }: Judged): string[] => {
  const faults: string[] = [];
  const outputAt = outputsOf({ workflow, parts, history });
  for (const part of parts) {
    const node = workflow.nodes.find(({ name }) => name === part.node);
    if (!node) continue;
    const wanted: (string | undefined)[] = [];
    if (node.items) wanted.push(itemsOf(node.items, (name) => outputAt(name, part.submitted))?.[part.item]);
    if (node.reads !== undefined) wanted.push(asArgument(outputAt(node.reads, part.submitted)));
    for (const { attempt, given } of history.executions.filter(({ command }) => command === part.id)) {
      const isRight = given.length === wanted.length && wanted.every((one, i) => one === undefined || one === given[i]);
      if (!isRight)
        faults.push(
          `${part.node}/${part.item}, attempt ${attempt}, was given ${JSON.stringify(given)}, not ${JSON.stringify(wanted)}`,
        );
    }
  }
  return faults;
};

/** All that a node had written before a place, a text for each of its commands; undefined where that is not surely known. */
const outputsOf = ({ workflow: { nodes, generations }, parts, history }: Judged) => {
  const textBy = ({ id, status }: Part): string | undefined => {
    if (status !== 'succeeded') return undefined;
    const own = history.executions.filter(({ command, exitCode }) => command === id && exitCode === 0);
    return own.length === 1 && own[0] ? textOf(own[0]) : undefined;
  };
  /** Of the last generation a node tells of its commands, also those that are of an earlier one; of an earlier one that is not known any more. */
  const commandsOf = (name: string, before: Place): readonly (Part | undefined)[] | undefined => {
    const node = nodes.find((one) => one.name === name);
    const generation = generationAt(generations, before);
    if (generation === generations.at(-1))
      return node?.runs.map(({ command }) => parts.find(({ id }) => id === command));
    const own = parts.filter((part) => part.node === name && part.submitted < before);
    const isSure = node?.items === undefined && own.every(({ submitted }) => submitted >= (generation?.begins ?? 0));
    return isSure ? own : undefined;
  };
  return (name: string, before: Place): Wrote | undefined => {
    const commands = commandsOf(name, before);
    const texts = commands?.map((part) => part && textBy(part));
    const isMany = nodes.find((one) => one.name === name)?.items !== undefined;
    return !texts || texts.includes(undefined) ? undefined : { texts: texts as string[], isMany };
  };
};

interface Wrote {
  /** None of one that was skipped. */
  readonly texts: readonly string[];
  readonly isMany: boolean;
}

/** As it is given to a command that reads it. */
const asArgument = (wrote: Wrote | undefined): string | undefined =>
  wrote && (wrote.isMany ? JSON.stringify(wrote.texts) : (wrote.texts[0] ?? ''));

const itemsOf = (
  items: NonNullable<SeenNode['items']>,
  outputAt: (name: string) => Wrote | undefined,
): readonly string[] | undefined =>
  'linesOf' in items
    ? outputAt(items.linesOf)?.texts.flatMap((text) => text.split('\n').filter((line) => line !== ''))
    : items;

const textOf = ({ wrote }: Execution): string =>
  Buffer.concat(wrote.filter(({ stream }) => stream === 'stdout').map(({ bytes }) => bytes))
    .toString()
    .replace(/[\r\n]+$/, '');

/** What failed in the last generation failed in it. */
const runsAgainWhatFailed = ({ workflow: { nodes, generations }, parts }: Judged): string[] => {
  const { begins = 0, number } = generations.at(-1) ?? {};
  return nodes
    .filter(({ allowFailure }) => !allowFailure)
    .flatMap(({ name, runs }) =>
      runs.flatMap(({ status, command }, item) => {
        const submitted = parts.find(({ id }) => id === command)?.submitted ?? begins;
        return status !== 'succeeded' && submitted < begins
          ? [`${name}/${item} is ${status}, and was not run again in generation ${number}`]
          : [];
      }),
    );
};

/** Once a cancel is confirmed no more comes than what was about to be submitted. One that is confirmed late may be of an earlier generation. */
const isCanceledForGood = ({ workflow: { canceled, generations, concurrency }, parts }: Judged): string[] => {
  const ends = generations[0]?.ends ?? Number.POSITIVE_INFINITY;
  if (canceled === undefined || canceled > ends) return [];
  const later = parts.filter(({ submitted }) => submitted >= canceled && submitted < ends);
  return later.length > concurrency ? [`${later.length} commands after its cancel was confirmed`] : [];
};

const isAudited = ({ workflow: { audited, generations, found } }: Judged): string[] => {
  if (!audited || found.length === 0) return [];
  const faults: string[] = [];
  if (audited.submitted !== 1) faults.push(`the audit log has its submission ${audited.submitted} times`);
  if (audited.ended !== generations.length)
    faults.push(`the audit log has its end ${audited.ended} times, of ${generations.length}`);
  return faults;
};
