import type { Deps } from '../../shared/app/deps.ts';
import { sealTenant } from '../../shared/app/seal-audit.ts';
import { type Actor, ownerOf } from '../../shared/domain/actor.ts';
import { isFinal, type Status } from '../../shared/domain/command.ts';
import { toTenantId } from '../../shared/domain/ids.ts';
import type { Tenant } from '../../shared/domain/principals.ts';
import type { TenantLimits } from '../../shared/domain/quotas.ts';
import { keys } from '../../shared/store/schema.ts';
import type { Item } from '../../shared/store/store.ts';
import { type CallerParts, liveThrough, putUp, readAll } from './caller.ts';
import { check } from './checker.ts';
import { makeExecutions } from './executions.ts';
import { type FaultKind, makeFaults } from './faults.ts';
import type { CallerEvent, History, StoredStatus } from './history.ts';
import { forgotten } from './later-version.ts';
import { type CrashPoint, type Life, makeLife } from './life.ts';
import { makeMemory } from './memory-store.ts';
import { type NodeParts, startNode, TARGET } from './node.ts';
import type { PlaceParts, Served } from './place.ts';
import { PROFILES, type Profile, type ProfileName } from './profiles.ts';
import { makeRng } from './rng.ts';
import { makeScenario, type Scenario } from './scenario.ts';
import { watchSchedules } from './schedule-histories.ts';
import { makeFarQueue } from './simulated-queue.ts';
import { runThrough } from './workflow-caller.ts';
import { type WorkflowHistories, watchWorkflows } from './workflow-histories.ts';
import { type Line, makeWorld } from './world.ts';

export interface Outcome {
  readonly seed: number;
  readonly profile: ProfileName;
  readonly violations: readonly string[];
  readonly trace: string;
  readonly events: number;
  readonly struck: ReadonlyMap<FaultKind, number>;
  /** How many commands came to which end. */
  readonly statuses: ReadonlyMap<string, number>;
  readonly lines: readonly Line[];
  readonly scenario: Scenario;
  readonly history: History;
  /** How many calls out of processes there were, and writes among them. */
  readonly calls: number;
  readonly writes: number;
}

export interface RunOptions {
  readonly keepsLines?: boolean;
  /** Instead of what the seed would make. */
  readonly scenario?: Scenario;
  /** Without any fault but those that are placed. */
  readonly calm?: boolean;
  /** Places a crash: asked at each call of a process, which are numbered through. */
  readonly crashAt?: (call: number, what: string) => CrashPoint | undefined;
  /** Loses an answer of the store: asked at each write, which are numbered through. */
  readonly losesAnswer?: (write: number) => boolean;
}

const ACTOR: Actor = ownerOf(toTenantId('default'));
/** After the faults: until every command has ended, and until nothing of any is left anywhere. */
const MOST_UNFINISHED_MS = 45 * 60_000;
const MOST_LEFT_MS = 3 * 3_600_000;
const SKEW_MS = 10 * 60_000;
const MINUTE_MS = 60_000;

/** Plays one seed. The same seed, profile and options give the same run, event by event. */
export const runSeed = async (seed: number, name: ProfileName, options: RunOptions = {}): Promise<Outcome> => {
  const { keepsLines = false, calm = false } = options;
  const profile: Profile = PROFILES[name];
  const chance = makeRng(seed);
  const scenario = options.scenario ?? makeScenario(chance.fork(), profile);
  const faults = makeFaults(chance.fork());
  if (calm) faults.end();
  const world = makeWorld(chance.between(0, 2 ** 31), scenario.startAt, keepsLines);
  const stored: StoredStatus[] = [];
  let places = 0;
  const unfinished = new Set<string>();
  const events: CallerEvent[] = [];
  const bugs: string[] = [];
  const schedules = watchSchedules();
  const workflows = watchWorkflows(scenario.workflows);

  const memory = makeMemory({
    show: showLate(),
    onPut: (item, before) => {
      for (const place of forgotten(before, item)) {
        bugs.push(`${item.sk}, ${place}: what a later version had stored in it is not kept`);
      }
      schedules.saw(item);
      workflows.saw(item, ++places, world.now());
      const status = statusOf(item);
      if (!status) return;
      stored.push({ at: world.now(), place: ++places, ...status });
      if (isFinal(status.status as Status)) unfinished.delete(status.command);
      else unfinished.add(status.command);
    },
  });

  // What schedules and workflows submit is limited by the tenant's record.
  if (profile.also && scenario.limits) memory.write([{ put: tenantItem(scenario.limits), ifVersion: 0 }]);

  /** An index that lags shows the changes of the store in their order. */
  function showLate(): (change: () => void) => void {
    let shownAt = 0;
    return (change) => {
      const lagMs = profile.far && faults.strikes('index-lags') ? world.rng.between(10, 30_000) : 0;
      shownAt = Math.max(shownAt, world.now() + lagMs);
      if (shownAt <= world.now()) change();
      else world.after(shownAt - world.now(), change);
    };
  }

  const nodes: (Served | undefined)[] = Array.from({ length: scenario.nodes });
  const alive = (): Served[] => nodes.filter((node) => node?.life.isAlive()).map((node) => node as Served);
  const executions = makeExecutions(world);
  const placeParts: PlaceParts = {
    world,
    faults,
    executions,
    reachable: alive,
    tellBug: (bug) => void bugs.push(bug),
    isWorkerAlive: (worker) => alive().some(({ life }) => life.name === worker),
  };
  let writes = 0;
  let placed = 0;
  const nodeParts: NodeParts = {
    world,
    faults,
    memory,
    blobs: new Map(),
    place: profile.place(placeParts),
    second: profile.second?.(placeParts),
    farQueue: profile.far ? makeFarQueue(world, faults) : undefined,
    seals: scenario.seals,
    also: profile.also,
    losesAnswer: () => {
      writes++;
      const isLost = options.losesAnswer?.(writes) ?? false;
      if (isLost) placed++;
      return isLost;
    },
  };

  let calls = 0;
  let born = 0;
  const crashAt = (_: Life, what: string): CrashPoint | undefined => {
    calls++;
    const point = options.crashAt?.(calls, what);
    if (point) placed++;
    if (point) return point;
    if (faults.strikes('crash-before-call')) return 'before-call';
    return faults.strikes('crash-after-call') ? 'after-call' : undefined;
  };

  const bear = (place: number): void => {
    const life = makeLife(world, `node-${++born}`, chance.fork(), { crashAt });
    if (faults.strikes('clock-skew')) life.setClock(world.rng.between(-SKEW_MS, SKEW_MS));
    life.onDeath(() => world.after(world.rng.pick([10, 1_000, 20_000, 200_000]), () => bear(place)));
    world.note(life.name, 'starts');
    const isLater = faults.strikes('later-version');
    if (isLater) world.note(life.name, 'is of a later version');
    nodes[place] = startNode(life, { ...nodeParts, isLater });
    trouble(life);
  };

  const trouble = (life: Life): void => {
    world.after(world.rng.between(0, MINUTE_MS), () => {
      if (!life.isAlive()) return;
      if (faults.strikes('crash')) return life.crash('by itself');
      if (faults.strikes('freeze')) life.freeze(world.rng.pick([1_000, 40_000, 200_000, 900_000]));
      if (faults.strikes('clock-jump')) life.setClock(world.rng.between(-SKEW_MS, SKEW_MS));
      trouble(life);
    });
  };

  for (let place = 0; place < scenario.nodes; place++) world.after(world.rng.between(0, 200), () => bear(place));
  const actor: Actor = { ...ACTOR, limits: scenario.limits };
  const callers: CallerParts = { world, faults, reachable: alive, actor, tellBug: placeParts.tellBug };
  const silent = new Set(scenario.jobs.map(({ name: job }) => job));
  for (const plan of scenario.jobs) {
    liveThrough(callers, plan, (event) => {
      events.push(event);
      if (event.kind !== 'seen') silent.delete(event.job);
    });
  }
  let unanswered = scenario.schedules.length;
  for (const plan of scenario.schedules) putUp(callers, plan, () => unanswered--);
  for (const plan of scenario.workflows) runThrough(callers, plan, (event) => workflows.heard(event, ++places));

  const { place, second } = nodeParts;
  const left = (): readonly string[] => [...place.left(), ...(second?.left() ?? [])];
  await world.run(() => false, scenario.startAt + scenario.faultsForMs);
  const quietAt = world.now();
  world.note('world', 'is quiet from now on');
  faults.end();
  for (const { life } of alive()) life.setClock(0);
  const answered = (): boolean => unanswered === 0 && silent.size === 0;
  const isOver = () => answered() && unfinished.size === 0 && schedules.open() === 0 && workflows.open() === 0;
  await world.run(isOver, quietAt + MOST_UNFINISHED_MS);
  const endedAt = world.now();
  const silence = answered() ? [] : ['A caller got no answer.'];
  await world.run(() => left().length === 0, quietAt + MOST_LEFT_MS);
  // What comes late would show now.
  const overAt = world.now();
  await world.run(() => false, overAt + 3 * MINUTE_MS);
  // As what a process submits that was frozen, of a caller who has had another answer since.
  await world.run(() => isOver() && left().length === 0, overAt + MOST_LEFT_MS);

  const reader = startNode(makeLife(world, 'reader', makeRng(1)), {
    ...nodeParts,
    also: undefined,
    farQueue: makeFarQueue(world, faults),
  });
  const clocksWereWrong = faults.struck.has('clock-skew') || faults.struck.has('clock-jump');
  let view: Pick<History, 'finals' | 'usage' | 'audit' | 'workflows'> | undefined;
  let broken: unknown;
  readEverything(reader, actor, { scenario, workflows, clocksWereWrong }).then(
    (read) => (view = read),
    (error: unknown) => (broken = error),
  );
  await world.run(() => view !== undefined || broken !== undefined, world.now() + 10 * MINUTE_MS);
  if (broken !== undefined) throw broken;
  if (!view) throw new Error('The end could not be read.');
  const history: History = {
    jobs: scenario.jobs.map(({ name: job, body, input, moveAfterMs }) => ({
      name: job,
      retryOn: body.retry?.on ?? [],
      maxAttempts: body.retry?.maxAttempts ?? 1,
      input: Buffer.concat(input.map(({ bytes }) => bytes)),
      targets: [body.target ?? TARGET, ...(body.failover ?? [])],
      moves: moveAfterMs !== undefined,
    })),
    events,
    executions: executions.all,
    stored,
    schedules: schedules.all(),
    clocksWereWrong,
    wasTroubled: faults.struck.size > 0 || placed > 0,
    left: left(),
    quietAt,
    overAt: endedAt,
    promises: profile.promises,
    ...view,
  };
  const statuses = new Map<string, number>();
  for (const { seen } of view.finals) statuses.set(seen.status, (statuses.get(seen.status) ?? 0) + 1);
  return {
    seed,
    profile: name,
    violations: [...new Set([...bugs, ...workflows.refusals, ...silence, ...check(history)])],
    trace: world.trace(),
    events: world.events(),
    struck: faults.struck,
    statuses,
    lines: world.lines,
    scenario,
    history,
    calls,
    writes,
  };
};

const tenantItem = (limits: TenantLimits): Item => {
  const { tenant: id } = ACTOR;
  const tenant: Tenant = { id, name: '', suspended: false, createdAt: 0, limits };
  return { ...keys.tenant(id), version: 1, data: tenant };
};

const statusOf = (item: Item): { command: string; status: string } | undefined => {
  if (item.sk !== 'command') return undefined;
  // Of one that was withdrawn its place is taken.
  const { command } = item.data as { command?: { id: string; status: string } };
  return command && { command: command.id, status: command.status };
};

interface Over {
  readonly scenario: Scenario;
  readonly workflows: WorkflowHistories;
  readonly clocksWereWrong: boolean;
}

const readEverything = async ({ deps }: Served, actor: Actor, { scenario, workflows, clocksWereWrong }: Over) => {
  const finals = await readAll(deps, actor);
  const { today, past } = await deps.meter.used(actor.tenant, 30);
  const usage = {
    unfinished: today.unfinished,
    commands: [today, ...past].reduce((sum, { commands }) => sum + commands, 0),
    outputBytes: [today, ...past].reduce((sum, { outputBytes }) => sum + outputBytes, 0),
  };
  const subjects = scenario.seals ? await readLog(deps, actor) : undefined;
  const logged = (type: string): readonly string[] => subjects?.get(type) ?? [];
  // A log is in the order of clocks: it promises nothing where they are wrong for longer than it waits.
  const logOf = (what: string) =>
    subjects && !clocksWereWrong
      ? { submitted: logged(`${what}.submitted`), ended: logged(`${what}.ended`) }
      : undefined;
  return {
    finals,
    workflows: await workflows.read(deps, actor, logOf('workflow')),
    ...(scenario.limits ? { usage } : {}),
    audit: logOf('command'),
  };
};

/** Subjects of the audit log's entries, by type. */
const readLog = async (deps: Deps, { tenant }: Actor): Promise<ReadonlyMap<string, readonly string[]>> => {
  const subjects = new Map<string, string[]>();
  await sealTenant({ ...deps, auditSettleSeconds: 0 }, tenant, { checkpoint: true });
  for await (const { entry } of deps.auditLog.read(tenant, 1)) {
    subjects.set(entry.type, [...(subjects.get(entry.type) ?? []), entry.subject]);
  }
  return subjects;
};
