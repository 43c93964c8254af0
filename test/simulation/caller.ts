import { cancelCommand } from '../../shared/app/cancel-command.ts';
import type { Deps } from '../../shared/app/deps.ts';
import { moveCommand } from '../../shared/app/move-command.ts';
import { piecesOf } from '../../shared/app/read-output.ts';
import { requireCommand } from '../../shared/app/require-command.ts';
import { createSchedule } from '../../shared/app/schedules.ts';
import { signalCommand } from '../../shared/app/signal-command.ts';
import { submitCommand } from '../../shared/app/submit-command.ts';
import { toSummary } from '../../shared/app/view.ts';
import { endStdin, writeStdin } from '../../shared/app/write-stdin.ts';
import type { Actor } from '../../shared/domain/actor.ts';
import type { Command } from '../../shared/domain/command.ts';
import { AppError } from '../../shared/domain/errors.ts';
import type { CommandId } from '../../shared/domain/ids.ts';
import type { Faults } from './faults.ts';
import { type CallerEvent, type FinalView, isFinal, type Piece, type Seen } from './history.ts';
import { SECOND_TARGET } from './node.ts';
import type { Served } from './place.ts';
import type { JobPlan, SchedulePlan } from './scenario.ts';
import type { World } from './world.ts';

const PATIENCE_MS = 30_000;
const POLL_MS = 4_000;

export interface CallerParts {
  readonly world: World;
  readonly faults: Faults;
  readonly reachable: () => readonly Served[];
  readonly actor: Actor;
  readonly tellBug: (bug: string) => void;
}

/** What came of a request: an answer, a refusal that is the answer, or nothing, which leaves open whether it was done. */
type Reply<T> =
  | { readonly kind: 'answer'; readonly value: T }
  | { readonly kind: 'refusal'; readonly code: string }
  | { readonly kind: 'nothing' };

/** One request over the network, to whichever process stands behind the door. */
export const request = <T>(parts: CallerParts, act: (deps: Deps) => Promise<T>): Promise<Reply<T>> => {
  const { world, faults, reachable } = parts;
  const { promise, resolve } = Promise.withResolvers<Reply<T>>();
  const callOff = world.after(PATIENCE_MS, () => resolve({ kind: 'nothing' }));
  const answer = (reply: Reply<T>) => {
    if (faults.strikes('answer-lost')) return;
    world.after(world.rng.between(1, 40), () => {
      callOff();
      resolve(reply);
    });
  };
  if (faults.strikes('request-lost')) return promise;
  world.after(world.rng.between(1, 40), () => {
    const alive = reachable();
    if (alive.length === 0) return answer({ kind: 'nothing' });
    const { life, deps } = world.rng.pick(alive);
    life.deliver(() => {
      void act(deps).then(
        (value) => answer({ kind: 'answer', value }),
        (error: unknown) => answer(toReply(error, parts.tellBug)),
      );
    });
  });
  return promise;
};

const toReply = (error: unknown, tellBug: CallerParts['tellBug']): Reply<never> => {
  // What may be otherwise a moment later says nothing of what was done.
  if (error instanceof AppError && error.code !== 'unavailable') return { kind: 'refusal', code: error.code };
  if (!(error instanceof AppError))
    tellBug(`A request failed in itself: ${error instanceof Error ? error.message : error}`);
  return { kind: 'nothing' };
};

export const sleepIn =
  ({ world }: CallerParts) =>
  (milliseconds: number) =>
    new Promise<void>((resolve) => void world.after(milliseconds, resolve));

/** Again until there is an answer. */
export const insist = async <T>(
  parts: CallerParts,
  act: (deps: Deps) => Promise<T>,
): Promise<Exclude<Reply<T>, { kind: 'nothing' }>> => {
  for (;;) {
    const reply = await request(parts, act);
    if (reply.kind !== 'nothing') return reply;
    await sleepIn(parts)(parts.world.rng.between(100, 5_000));
  }
};

/** Has a schedule made, and calls back once it was answered. A lost answer makes another one. */
export const putUp = (parts: CallerParts, { name, body, createAfterMs }: SchedulePlan, answered: () => void): void => {
  const { world, actor } = parts;
  world.after(createAfterMs, () => {
    void insist(parts, (deps) => createSchedule(deps, actor, body)).then((reply) => {
      world.note('caller', `${name} is ${reply.kind === 'answer' ? `made as ${reply.value.id}` : reply.code}`);
      answered();
    });
  });
};

/** Lives one job through: submits until it was answered, looks, changes its mind, sends input. */
export const liveThrough = (parts: CallerParts, plan: JobPlan, tell: (event: CallerEvent) => void): void => {
  const { world, actor } = parts;
  const job = plan.name;
  const sleep = sleepIn(parts);

  const submit = async (): Promise<CommandId | undefined> => {
    const submission = { body: plan.body, idempotencyKey: `key-of-${job}` };
    const reply = await insist(parts, (deps) => submitCommand(deps, actor, submission));
    if (reply.kind === 'refusal') {
      tell({ kind: 'refused', at: world.now(), job, code: reply.code });
      return undefined;
    }
    const { id } = reply.value.command;
    world.note('caller', `${job} is acknowledged as ${id.slice(-4)}`);
    tell({ kind: 'acknowledged', at: world.now(), job, id });
    return id;
  };

  const look = async (id: CommandId): Promise<void> => {
    for (;;) {
      const reply = await request(parts, async (deps) => toSeen((await requireCommand(deps, actor, id)).command));
      if (reply.kind === 'answer') tell({ kind: 'seen', at: world.now(), job, seen: reply.value });
      if (reply.kind === 'refusal') tell({ kind: 'refused', at: world.now(), job, code: reply.code });
      if (reply.kind === 'answer' && isFinal(reply.value.status)) {
        // Once more later: an end never changes.
        await sleep(world.rng.between(0, 120_000));
        const again = await request(parts, async (deps) => toSeen((await requireCommand(deps, actor, id)).command));
        if (again.kind === 'answer') tell({ kind: 'seen', at: world.now(), job, seen: again.value });
        return;
      }
      await sleep(world.rng.between(POLL_MS / 4, POLL_MS));
    }
  };

  const cancel = async (id: CommandId): Promise<void> => {
    if (plan.cancelAfterMs === undefined) return;
    await sleep(plan.cancelAfterMs);
    const reply = await insist(parts, (deps) => cancelCommand(deps, actor, id));
    world.note('caller', `cancel of ${job}: ${reply.kind === 'answer' ? 'taken' : reply.code}`);
    if (reply.kind === 'answer') tell({ kind: 'cancel-confirmed', at: world.now(), job });
  };

  const move = async (id: CommandId): Promise<void> => {
    if (plan.moveAfterMs === undefined) return;
    await sleep(plan.moveAfterMs);
    const reply = await request(parts, (deps) => moveCommand(deps, actor, id, SECOND_TARGET));
    world.note('caller', `move of ${job}: ${reply.kind}`);
  };

  const signal = async (id: CommandId): Promise<void> => {
    for (const { afterMs, signal: name } of plan.signals) {
      await sleep(afterMs);
      await request(parts, (deps) => signalCommand(deps, actor, id, name));
    }
  };

  const feed = async (id: CommandId): Promise<void> => {
    if (plan.body.stdin !== 'open') return;
    let from = 0;
    for (const { afterMs, bytes } of plan.input) {
      await sleep(afterMs);
      const at = from;
      const reply = await insist(parts, (deps) => writeStdin(deps, actor, id, { bytes, from: at }));
      if (reply.kind === 'refusal') return;
      from += bytes.length;
    }
    await insist(parts, (deps) => endStdin(deps, actor, id));
  };

  world.after(plan.submitAfterMs, () => {
    if (plan.submitsTwice) void submit();
    void submit().then((id) => {
      if (id === undefined) return;
      void look(id);
      void cancel(id);
      void move(id);
      void signal(id);
      void feed(id);
    });
  });
};

const toSeen = (command: Parameters<typeof toSummary>[0]): Seen => {
  const { id, status, startedAt, result, attempts } = toSummary(command);
  return { id, status, startedAt, result, attempts };
};

/** What a caller reads of each command once everything is over. */
export const readAll = async (deps: Deps, actor: Actor): Promise<FinalView[]> => {
  const views: FinalView[] = [];
  for await (const command of commandsOf(deps, actor)) {
    const output = new Map<number, readonly Piece[]>();
    for (const { number } of command.attempts) output.set(number, await readPieces(deps, command, number));
    const { job } = JSON.parse(command.spec.argv?.[1] ?? '{}') as { job: string };
    const { scheduledBy, submittedAt, workflow: partOf } = command;
    views.push({
      ...{ job, seen: toSeen(command), output, submittedAt },
      ...(scheduledBy ? { scheduledBy } : {}),
      ...(partOf ? { partOf: { workflow: partOf.id, node: partOf.node, item: partOf.item ?? 0 } } : {}),
    });
  }
  return views;
};

async function* commandsOf({ commands }: Deps, { tenant }: Actor) {
  for await (const page of commands.pages(tenant)) yield* page;
}

const readPieces = async (deps: Deps, command: Command, attempt: number): Promise<Piece[]> => {
  const pieces: Piece[] = [];
  for await (const { stream, bytes } of piecesOf(deps, command, attempt, {})) pieces.push({ stream, bytes });
  return pieces;
};
