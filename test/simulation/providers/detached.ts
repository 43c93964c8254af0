import type { AttemptKey, TenantId } from '../../../shared/domain/ids.ts';
import type { HeldRun, Observed, Provider, Run, RunName, StartOutcome } from '../../../shared/providers/provider.ts';
import { runAttemptHere } from '../../../shared/runner/runner.ts';
import type { Execution } from '../history.ts';
import type { Life } from '../life.ts';
import { controlFrom, launcherOn, logOfMachine, type Machine, startMachine } from '../machine.ts';
import { FEATURES, type Place, type PlaceParts, rejected } from '../place.ts';

/** What a provider has of one attempt: the machines it made for it, and what is left of them. */
interface Group {
  readonly ref: string;
  readonly key: AttemptKey;
  readonly tenant: TenantId;
  readonly createdAt: number;
  /** Those who ask do not see it before. */
  readonly seenFrom: number;
  readonly isBroken: boolean;
  machines: readonly Machine[];
  /** Machines that have not come up yet. */
  coming: number;
  isCanceled: boolean;
}

export interface DetachedOptions {
  readonly leavesBehind: boolean;
  readonly startSeconds: number;
  /** Otherwise the machine executes what it was made for by itself: an image of somebody else's, without a runner of ours. */
  readonly startTicket: boolean;
}

const ANSWER_MS = 30_000;

/** A cloud that runs machines: a start makes one, and the runner on it speaks for itself. */
export const detachedPlace = (parts: PlaceParts, options: DetachedOptions): Place => {
  const { world, faults } = parts;
  const { leavesBehind, startTicket } = options;
  const groups: Group[] = [];
  /** Starts that were asked for and have not taken effect. */
  const onTheirWay = new Set<AttemptKey>();
  let machines = 0;

  const isLive = ({ machines: made, coming }: Group): boolean => coming > 0 || made.some(({ life }) => life.isAlive());

  const boot = (group: Group, run: Run): void => {
    group.coming++;
    world.after(world.rng.pick([50, 500, 3_000, 20_000]), () => {
      group.coming--;
      if (group.isCanceled) return remove(group);
      const machine = startMachine(parts, `runner-${++machines}`);
      group.machines = [...group.machines, machine];
      const launcher = launcherOn(parts, machine);
      if (startTicket) {
        const { life, evicted } = machine;
        const control = controlFrom(parts, machine, run.token);
        void runAttemptHere({
          token: run.token,
          control,
          launcher,
          clock: life.clock,
          log: logOfMachine,
          evicted,
        }).then(() => machine.kill('as it is done'));
      } else {
        void launcher.start(run, ioOfNobody(machine)).then(() => machine.kill('as it is done'));
      }
    });
  };

  const make = (run: Run): Group => {
    onTheirWay.delete(run.key);
    const there = groups.find(({ key }) => key === run.key);
    // By its name it is the same one.
    if (there && leavesBehind) return there;
    const { key, tenant } = run;
    const group: Group = {
      ref: `ref-${groups.length + 1}`,
      key,
      tenant,
      createdAt: world.now(),
      seenFrom: world.now() + (faults.strikes('gone-after-start') ? world.rng.between(1_000, 30_000) : 0),
      isBroken: faults.strikes('never-starts'),
      machines: [],
      coming: 0,
      isCanceled: false,
    };
    groups.push(group);
    world.note('cloud', `makes ${group.ref} for ${key.slice(-6)}${group.isBroken ? ', which never starts' : ''}`);
    if (!group.isBroken) boot(group, run);
    if (!group.isBroken && faults.strikes('start-doubled')) boot(group, run);
    return group;
  };

  const start = (life: Life, run: Run): Promise<StartOutcome> =>
    life.call(`start ${run.key.slice(-6)}`, (answer) => {
      const soon = world.rng.between(30, 800);
      const after = (milliseconds: number, outcome: StartOutcome) =>
        world.after(milliseconds, () => answer.resolve(outcome));
      if (faults.strikes('start-refused')) {
        const retryAfter = world.rng.pick([undefined, 5, 60]);
        return void after(soon, rejected('The simulated cloud is busy.', true, retryAfter));
      }
      if (faults.strikes('start-refused-for-good')) return void after(soon, rejected('It cannot.', false));
      if (faults.strikes('start-hangs')) return void after(ANSWER_MS, { kind: 'accepted' });
      if (faults.strikes('start-forgotten')) return void after(soon, { kind: 'accepted', ref: 'ref-0' });
      if (faults.strikes('start-late')) {
        onTheirWay.add(run.key);
        world.after(world.rng.pick([10_000, 100_000, 900_000]), () => make(run));
        return void after(ANSWER_MS, { kind: 'accepted' });
      }
      const isLost = faults.strikes('start-answer-lost');
      onTheirWay.add(run.key);
      world.after(soon, () => {
        const { ref } = make(run);
        if (isLost) after(ANSWER_MS, { kind: 'accepted' });
        else after(world.rng.between(5, 200), { kind: 'accepted', ref });
      });
    });

  const find = ({ key }: RunName): Group[] =>
    groups.filter((group) => group.key === key && group.seenFrom <= world.now());

  /** With its machines, as soon as they have ended. */
  const remove = (group: Group): void => {
    const at = groups.indexOf(group);
    if (leavesBehind && at >= 0 && !isLive(group)) groups.splice(at, 1);
  };

  const executionOf = ({ key }: RunName): Execution | undefined =>
    parts.executions.all.find(({ command, attempt }) => `${command}-${attempt}` === key);

  const look = (run: RunName): Observed => {
    const found = find(run);
    const [first] = found;
    if (!first) return { kind: 'gone', detail: 'The simulated cloud has nothing of it.' };
    if (found.every(({ isBroken }) => isBroken)) return { kind: 'failed', detail: 'Its image cannot be pulled.' };
    if (found.some(isLive)) return { kind: 'alive' };
    const { exitCode } = executionOf(run) ?? {};
    if (startTicket || exitCode == null) return { kind: 'gone' };
    return { kind: 'gone', exit: { exitCode, signal: null } };
  };

  const adapter = (life: Life): Provider => {
    const ask = <T>(what: string, act: () => T | Promise<T>): Promise<T> =>
      life.call(what, (answer) => {
        const fails = faults.strikes('provider-fails');
        world.after(fails ? world.rng.pick([50, ANSWER_MS]) : world.rng.between(20, 300), () => {
          if (fails) return answer.reject(new Error('The simulated cloud does not answer.'));
          void Promise.resolve(act()).then((value) => answer.resolve(value));
        });
      });
    return {
      name: 'cloud',
      features: place.features,
      start: (run) => start(life, run),
      observe: (run) => ask(`observe ${run.key.slice(-6)}`, () => look(run)),
      cancel: (run) =>
        ask(`cancel ${run.key.slice(-6)}`, () => {
          if (faults.strikes('cancel-ignored')) return;
          for (const group of find(run)) {
            group.isCanceled = true;
            for (const machine of group.machines) {
              machine.evict();
              machine.life.onDeath(() => remove(group));
            }
            remove(group);
          }
        }),
      async *held() {
        const found = await ask('held', () => groups.filter((group) => leavesBehind || isLive(group)));
        for (const { key, tenant, ref, createdAt } of found) {
          const held: HeldRun = { key, tenant, worker: '', ref, createdAt };
          yield held;
        }
      },
      health: async () => ({ healthy: true }),
      close: async () => {},
    };
  };

  const place: Place = {
    features: { ...FEATURES, mode: 'detached', runner: 'remote', ...options, stdin: startTicket },
    adapter,
    left: () => [
      ...[...onTheirWay].map((key) => `a start of ${key}`),
      ...groups
        .filter((group) => leavesBehind || isLive(group))
        .map((group) => `${group.ref} of ${group.key}, which ${isLive(group) ? 'lives' : 'has ended'}`),
    ],
  };
  return place;
};

/** An image of somebody else's has nobody who listens to it. */
const ioOfNobody = ({ evicted }: Machine) => ({
  redeem: async () => true,
  redeemedElsewhere: async () => {},
  output: async () => {},
  stdin: undefined,
  stop: evicted,
  onSignal: () => {},
});
