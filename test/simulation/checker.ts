import {
  type Execution,
  FINAL,
  type FinalView,
  type History,
  isFinal,
  type Job,
  type Piece,
  type ScheduleHistory,
  type Seen,
  type SeenAttempt,
  type SeenFiring,
  type Stream,
} from './history.ts';
import { checkWorkflows } from './workflow-checker.ts';

/*
 * Judges a run by the promises of docs/reliability.md, from outside: by what callers saw and what providers executed. It knows nothing of
 * how the product works, and imports nothing of it.
 */

/** Back to `queued` only before a further attempt. */
const MAY_FOLLOW: Readonly<Record<string, readonly string[]>> = {
  queued: ['starting', 'running', 'canceled', 'expired', 'failed'],
  starting: ['running', 'queued', ...FINAL.filter((status) => status !== 'expired')],
  running: ['queued', ...FINAL.filter((status) => status !== 'expired')],
};

/** @returns what was broken, a sentence each; nothing when all promises were kept */
export const check = (history: History): string[] => [
  ...acknowledgedIsDurable(history),
  ...endsOnce(history),
  ...executesAtMostOnce(history),
  ...tellsTheTruth(history),
  ...readsItsInput(history),
  ...losesNothingForNothing(history),
  ...nothingRunsAfterTheEnd(history),
  ...nothingIsLeft(history),
  ...countsRight(history),
  ...isAudited(history),
  ...firesOnce(history),
  ...checkWorkflows(history),
];

/** What was acknowledged is there, is one, and has ended. */
const acknowledgedIsDurable = ({ events, finals, jobs }: History): string[] => {
  const faults: string[] = [];
  for (const { name } of jobs) {
    const ids = new Set(
      events.flatMap((event) => (event.kind === 'acknowledged' && event.job === name ? [event.id] : [])),
    );
    const found = finals.filter(({ job }) => job === name);
    if (ids.size > 1) faults.push(`${name} was acknowledged as ${ids.size} commands`);
    if (found.length > 1) faults.push(`${name} became ${found.length} commands, though its key was the same`);
    for (const id of ids)
      if (!found.some(({ seen }) => seen.id === id)) faults.push(`${name} was acknowledged and is not there`);
    for (const event of events) {
      if (event.job === name && event.kind === 'refused' && ids.size > 0 && event.code === 'not-found') {
        faults.push(`${name} was acknowledged, and then unknown`);
      }
    }
  }
  for (const { job, seen } of finals) if (!isFinal(seen.status)) faults.push(`${job} has not ended: ${seen.status}`);
  return faults;
};

/** A status moves forward, and an end never changes. */
const endsOnce = ({ stored, events, finals }: History): string[] => {
  const faults: string[] = [];
  const last = new Map<string, string>();
  for (const { command, status } of stored) {
    const before = last.get(command);
    last.set(command, status);
    if (before === undefined || before === status) continue;
    if (!MAY_FOLLOW[before]?.includes(status)) faults.push(`${short(command)} went from ${before} to ${status}`);
  }
  const ends = new Map<string, string>();
  const seen = [
    ...events.flatMap((event) => (event.kind === 'seen' ? [event.seen] : [])),
    ...finals.map((final) => final.seen),
  ];
  for (const one of seen) {
    const before = ends.get(one.id);
    if (before !== undefined && before !== essence(one))
      faults.push(`${short(one.id)} had ended, and then otherwise: ${before} / ${essence(one)}`);
    if (isFinal(one.status)) ends.set(one.id, essence(one));
  }
  return faults;
};

const essence = ({ status, result, startedAt }: Seen): string => JSON.stringify([status, startedAt, result]);

type Wanted = Pick<Job, 'maxAttempts' | 'retryOn'> & Partial<Pick<Job, 'targets' | 'moves'>>;

/** A ticket is redeemed once, and a further attempt is made only for what the caller named. */
const executesAtMostOnce = ({ executions, finals, jobs, workflows, promises }: History): string[] => {
  const faults: string[] = [];
  const nodes = workflows.flatMap((workflow) => workflow.nodes);
  for (const { job, seen } of finals) {
    const own = executions.filter(({ command }) => command === seen.id);
    // What a schedule submits asks for no retry.
    const wanted: Wanted = jobs.find(({ name }) => name === job) ??
      nodes.find((node) => node.job === job) ?? { maxAttempts: 1, retryOn: [] };
    for (const { number, target } of seen.attempts) {
      if (wanted.targets && !wanted.targets.includes(target))
        faults.push(`${job}, attempt ${number}, was on ${target}, where it may not run`);
    }
    const executed = [...new Set(own.map(({ attempt }) => attempt))].sort((a, b) => a - b);
    if (promises.startTicket) {
      for (const attempt of executed) {
        const times = own.filter((one) => one.attempt === attempt).length;
        if (times > 1) faults.push(`${job}, attempt ${attempt}, was executed ${times} times`);
      }
    }
    if (executed.length > wanted.maxAttempts)
      faults.push(`${job} was executed in ${executed.length} attempts of ${wanted.maxAttempts}`);
    for (const attempt of executed.slice(0, -1)) {
      const cause = causeOf(seen.attempts.find(({ number }) => number === attempt));
      // What is moved is stopped first, and runs again only where that is allowed.
      const isMoved = wanted.moves && cause === 'canceled' && wanted.retryOn.includes('lost');
      if (!isMoved && !wanted.retryOn.includes(cause))
        faults.push(`${job} was executed again after attempt ${attempt}: ${cause}`);
    }
    if (promises.startTicket && promises.knowsGone) {
      for (const [i, one] of own.entries()) {
        const next = own[i + 1];
        if (next && (one.endedAt ?? Number.POSITIVE_INFINITY) > next.beganAt)
          faults.push(`${job} was executed twice at one time`);
      }
    }
  }
  const known = new Set(finals.map(({ seen }) => seen.id));
  for (const { job, command } of executions)
    if (!known.has(command)) faults.push(`${job} was executed as ${short(command)}, which is not there`);
  return faults;
};

const causeOf = (attempt: SeenAttempt | undefined): string => {
  const reason = attempt?.result?.reason ?? 'no result';
  if (reason === 'lost' || reason === 'provider-error') return reason;
  return attempt?.status === 'failed' ? 'nonzero-exit' : reason;
};

/** Each attempt's end and output are those of its execution. */
const tellsTheTruth = ({ executions, finals, promises }: History): string[] => {
  const faults: string[] = [];
  for (const { job, seen, output } of finals) {
    for (const attempt of seen.attempts) {
      const own = executions.filter((one) => one.command === seen.id && one.attempt === attempt.number);
      const where = `${job}, attempt ${attempt.number} (${attempt.status})`;
      const read = output.get(attempt.number) ?? [];
      if (promises.startTicket && attempt.startedAt === null && own.length > 0) {
        faults.push(`${where}, was executed though it never started`);
      }
      const [execution] = own;
      if (!execution) {
        if (read.length > 0) faults.push(`${where}, has output of nothing`);
        if (attempt.result?.exitCode != null)
          faults.push(`${where}, ended with ${attempt.result.exitCode}, and was never executed`);
        continue;
      }
      if (own.length === 1 && promises.keepsOutput) faults.push(...outputFaults(where, attempt, execution, read));
    }
    const last = seen.attempts.at(-1);
    const told = last?.result;
    if (told && seen.result && last.status === seen.status && told.exitCode !== seen.result.exitCode)
      faults.push(`${job} and its last attempt end differently`);
    if ((seen.status === 'succeeded') !== (seen.result?.exitCode === 0 && seen.result.reason === 'exit')) {
      faults.push(`${job} is ${seen.status} with ${seen.result?.exitCode}`);
    }
  }
  return faults;
};

/** What a command reads is what its caller sent, in order, once. */
const readsItsInput = ({ executions, jobs }: History): string[] =>
  executions.flatMap(({ job, attempt, read }) => {
    const sent = jobs.find(({ name }) => name === job)?.input ?? new Uint8Array();
    return startsWith(Buffer.from(sent), Buffer.concat(read))
      ? []
      : [`${job}, attempt ${attempt}, read other input than was sent`];
  });

/** Nothing is given up as long as nothing goes wrong. */
const losesNothingForNothing = ({ finals, wasTroubled }: History): string[] =>
  wasTroubled
    ? []
    : finals.flatMap(({ job, seen }) =>
        seen.status === 'lost' || seen.status === 'expired' ? [`${job} is ${seen.status}, and nothing went wrong`] : [],
      );

const outputFaults = (where: string, attempt: SeenAttempt, execution: Execution, read: readonly Piece[]): string[] => {
  const faults: string[] = [];
  const { result } = attempt;
  const isKnown = result !== null && result.exitCode !== null;
  if (isKnown && result.exitCode !== execution.exitCode) {
    faults.push(`${where}, ended with ${execution.exitCode} and is told to have ended with ${result.exitCode}`);
  }
  const all = (pieces: readonly Piece[]) => Buffer.concat(pieces.map(({ bytes }) => bytes));
  if (!startsWith(all(execution.wrote), all(read))) faults.push(`${where}: its output is not as it was written`);
  for (const stream of ['stdout', 'stderr'] as const) {
    const [wrote, stored] = [bytesOf(execution.wrote, stream), bytesOf(read, stream)];
    if (!startsWith(wrote, stored)) faults.push(`${where}: its ${stream} is not as it was written`);
    if (isKnown && stored.length !== wrote.length)
      faults.push(`${where}: ${stored.length} of ${wrote.length} bytes of ${stream}`);
    const counted = result?.[`${stream}Bytes`];
    // What is lost may have been on its way to the store.
    const isRight = attempt.status === 'lost' ? (counted ?? 0) <= stored.length : counted === stored.length;
    if (result && !isRight) faults.push(`${where}: ${counted} bytes of ${stream} are counted, ${stored.length} stored`);
  }
  return faults;
};

const bytesOf = (pieces: readonly Piece[], stream: Stream): Buffer =>
  Buffer.concat(pieces.filter((piece) => piece.stream === stream).map(({ bytes }) => bytes));

const startsWith = (all: Buffer, start: Buffer): boolean => all.subarray(0, start.length).equals(start);

/** What has ended has ended, unless it is lost. What was never started never runs. */
const nothingRunsAfterTheEnd = ({ executions, finals, stored, promises }: History): string[] => {
  const faults: string[] = [];
  for (const { job, seen } of finals) {
    const endedAt = stored.find(({ command, status }) => command === seen.id && isFinal(status))?.at;
    if (endedAt === undefined) continue;
    for (const { command, attempt, beganAt, endedAt: until = Number.POSITIVE_INFINITY } of executions) {
      if (command !== seen.id) continue;
      // Who redeemed its ticket and was not heard of since may be yet to begin: that is what `lost` says of an attempt.
      const isLost = seen.attempts.some(({ number, status }) => number === attempt && status === 'lost');
      if (promises.startTicket && beganAt > endedAt && !isLost) {
        faults.push(`${job}, attempt ${attempt}, was executed after it had ended: ${seen.status}`);
      }
      const isOwnEnd = seen.attempts.at(-1)?.number === attempt;
      if (isOwnEnd && promises.startTicket && !isLost && until > endedAt) {
        faults.push(`${job}, attempt ${attempt}, ran on after it had ended: ${seen.status}`);
      }
    }
  }
  return faults;
};

/** Nothing runs, and nothing is held, for ever. */
const nothingIsLeft = ({ left, executions, overAt }: History): string[] => [
  ...left.map((one) => `Something is left at the provider: ${one}`),
  ...executions
    .filter(({ endedAt }) => endedAt === undefined)
    .map(({ job, attempt }) => `${job}, attempt ${attempt}, still runs at ${new Date(overAt).toISOString()}`),
];

const countsRight = ({ usage, finals }: History): string[] => {
  if (!usage) return [];
  const faults: string[] = [];
  const bytes = finals.reduce(
    (sum, { seen }) => sum + (seen.result?.stdoutBytes ?? 0) + (seen.result?.stderrBytes ?? 0),
    0,
  );
  if (usage.unfinished !== 0) faults.push(`${usage.unfinished} commands are counted that have not ended`);
  if (usage.commands !== finals.length)
    faults.push(`${usage.commands} commands are counted, there are ${finals.length}`);
  if (usage.outputBytes !== bytes) faults.push(`${usage.outputBytes} bytes of output are counted, there are ${bytes}`);
  return faults;
};

const isAudited = ({ audit, finals }: History): string[] => {
  if (!audit) return [];
  const faults: string[] = [];
  for (const [what, subjects] of Object.entries(audit)) {
    for (const { job, seen } of finals as readonly FinalView[]) {
      const times = subjects.filter((subject) => subject === seen.id).length;
      if (times !== 1) faults.push(`The audit log has ${job} ${what} ${times} times`);
    }
  }
  return faults;
};

/** Each instant of a schedule becomes something, one command at most, and all that was submitted is of an instant. */
const firesOnce = ({ schedules, finals, clocksWereWrong }: History): string[] =>
  schedules.flatMap((schedule) => {
    const faults: string[] = [];
    const { id, from, until, everyMs, firings } = schedule;
    const own = finals.filter(({ scheduledBy }) => scheduledBy?.schedule === id);
    const say = (at: number, what: string) => faults.push(`${short(id)}, ${new Date(at).toISOString()}: ${what}`);
    if (!schedule.hasEnded) faults.push(`${short(id)} has instants left`);
    for (const { seen, submittedAt, scheduledBy } of own) {
      const at = scheduledBy?.at ?? 0;
      if (at < from || at > until || (at - from) % everyMs !== 0) say(at, 'a command of no instant');
      if (!firings.some(({ command }) => command === seen.id)) say(at, 'a command that the history never had');
      if (!clocksWereWrong && submittedAt < at) say(at, 'submitted before its time');
    }
    for (const { at, command } of firings) {
      if (command !== undefined && !own.some(({ seen }) => seen.id === command)) say(at, 'its command is not there');
    }
    for (let at = from; at <= until; at += everyMs) {
      const times = own.filter(({ scheduledBy }) => scheduledBy?.at === at).length;
      if (times > 1) say(at, `submitted ${times} times`);
      const became = firings.filter((firing) => at >= firing.at && at < firing.at + (firing.count ?? 1) * everyMs);
      if (became.length === 0) say(at, 'nothing became of it');
      if (times === 0 && !became.some((firing) => mayBeLeftOut(schedule, firing))) say(at, 'not submitted');
    }
    return faults;
  });

const mayBeLeftOut = ({ overlap, catchUp }: ScheduleHistory, { outcome, reason }: SeenFiring): boolean => {
  if (outcome === 'missed') return catchUp !== 'all';
  if (outcome === 'skipped') return overlap !== 'allow';
  // A fault that lasted for ten minutes, by the clock of whoever met it.
  return outcome === 'refused' && reason === 'unavailable';
};

const short = (id: string): string => id.slice(-4);
