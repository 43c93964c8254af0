import type { SubmitCommand } from '../contract/schemas.ts';
import type { Scope } from '../domain/actor.ts';
import { type CommandSpec, ISOLATION_LEVELS, type Isolation, type Leg, type Stdin } from '../domain/command.ts';
import { AppError, type ProblemCode } from '../domain/errors.ts';
import type { Pool } from '../domain/pools.ts';
import type { Deps, Target } from './deps.ts';

const DEFAULT_TIMEOUT_SECONDS = 3_600;
const DEFAULT_QUEUE_TTL_SECONDS = 3_600;

/** A target that a command may land on. */
export interface Landing {
  readonly target: Target;
  /** The pool by which it may; undefined when the target itself was named. */
  readonly pool?: string;
  /** The level that the command would have there. */
  readonly isolation: Isolation;
}

/** What is asked for, in full. */
export interface Specified {
  /** With the labels of the caller's scope. */
  readonly body: SubmitCommand;
  readonly spec: CommandSpec;
  /** Every target that it may run on, in the order of its route. */
  readonly landings: readonly [Landing, ...Landing[]];
}

/**
 * Fills in what a submission leaves to us, and checks it against its targets and the caller's scope.
 * @throws AppError 'invalid-request' for an unknown target; 'forbidden' for labels or targets beyond the scope; 'unsupported-by-target' and
 * 'isolation-unavailable' for what a target cannot do that it names, or none of a pool
 */
export const specify = (places: Pick<Deps, 'targets' | 'pools'>, scope: Scope, submitted: SubmitCommand): Specified => {
  const body = withLabelsOf(scope, submitted);
  checkTerminal(body);
  const allowed = allowedBy(scope, places);
  const { failover = [] } = body;
  const named = [placeOf(allowed, body.target, '/target')];
  for (const [index, name] of failover.entries()) {
    const pointer = `/failover/${index}`;
    if (named.some((other) => other.name === name)) {
      throw refusal('invalid-request', pointer, `${name} is named twice, in target and failover.`);
    }
    named.push(placeOf(allowed, name, pointer));
  }
  const seen = new Set<string>();
  const legs = named.map((place, index) => ({
    name: place.name,
    landings: landingsOf(place, body, index === 0 ? undefined : `/failover/${index - 1}`).filter(({ target }) => {
      const isNew = !seen.has(target.name);
      seen.add(target.name);
      return isNew;
    }),
  }));
  const landings = legs.flatMap((leg) => leg.landings) as [Landing, ...Landing[]];
  return { body, spec: toSpec(body, { legs, landings }), landings };
};

/** What the caller is limited to is put on what it submits. */
const withLabelsOf = ({ labels }: Scope, body: SubmitCommand): SubmitCommand => {
  if (!labels) return body;
  for (const [name, value] of Object.entries(labels)) {
    if ((body.labels?.[name] ?? value) === value) continue;
    throw refusal('forbidden', `/labels/${name}`, `You may only submit commands with the label ${name}:${value}.`);
  }
  return { ...body, labels: { ...body.labels, ...labels } };
};

/** What a name stands for. */
interface NamedPlace {
  readonly name: string;
  readonly pool?: string;
  readonly targets: readonly Target[];
}

/** By name: whoever may use a pool may use its targets by it, and whoever may use a target not the pools that it is in. */
const allowedBy = ({ targets: names }: Scope, { targets, pools }: Pick<Deps, 'targets' | 'pools'>): NamedPlace[] => {
  const all: readonly NamedPlace[] = [
    ...targets.map((target) => ({ name: target.name, targets: [target] })),
    ...pools.map((pool) => ({ name: pool.name, pool: pool.name, targets: membersOf(pool, targets) })),
  ];
  const allowed = all.filter(({ name }) => names?.includes(name) ?? true);
  if (allowed.length > 0) return allowed;
  throw refusal('forbidden', '/target', 'You may not use any of the targets here.');
};

const membersOf = (pool: Pool, targets: readonly Target[]): Target[] =>
  pool.targets.flatMap((name) => targets.find((target) => target.name === name) ?? []);

const placeOf = (allowed: readonly NamedPlace[], wanted: string | undefined, pointer: string): NamedPlace => {
  const found = wanted === undefined ? allowed[0] : allowed.find(({ name }) => name === wanted);
  if (found) return found;
  const known = allowed.map(({ name }) => name).join(', ');
  throw refusal('invalid-request', pointer, `There is no target ${JSON.stringify(wanted)}. Targets: ${known}.`);
};

/**
 * Of a pool, the targets that can do what is asked, if there are any.
 * @param pointer to the name, where another one says what is asked and this one is at fault if it cannot do it
 */
const landingsOf = ({ targets, pool }: NamedPlace, body: SubmitCommand, pointer: string | undefined): Landing[] => {
  const landings: Landing[] = [];
  let refused: AppError | undefined;
  for (const target of targets) {
    try {
      const isolation = isolationFor(target, body.isolation);
      checkFeatures(target, body, isolation);
      landings.push({ target, isolation, ...(pool === undefined ? {} : { pool }) });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      refused ??= error;
    }
  }
  if (landings.length > 0 || !refused) return landings;
  throw pointer === undefined ? refused : refusal(refused.code, pointer, refused.message);
};

const toSpec = (
  body: SubmitCommand,
  {
    legs,
    landings,
  }: {
    readonly legs: readonly { readonly name: string; readonly landings: readonly Landing[] }[];
    readonly landings: readonly [Landing, ...Landing[]];
  },
): CommandSpec => {
  const [program, ...args] = body.argv ?? [];
  const { failover = [] } = body;
  const isRouted = landings.length > 1 || landings[0].pool !== undefined;
  const route = legs.map(
    ({ name, landings: of }): Leg => ({
      name,
      places: of.map(({ target, isolation }) => ({ target: target.name, isolation })),
    }),
  );
  const longest = landings.map(({ target }) => target.features.longestTimeoutSeconds);
  return {
    ...(program === undefined ? {} : { argv: [program, ...args] as const }),
    ...(body.script === undefined ? {} : { script: body.script }),
    shell: body.shell ?? '/bin/sh',
    target: legs[0]?.name ?? '',
    ...(failover.length > 0 ? { failover } : {}),
    ...(isRouted ? { route } : {}),
    ...(body.image === undefined ? {} : { image: body.image }),
    env: body.env ?? {},
    ...(body.secrets && Object.keys(body.secrets).length > 0 ? { secrets: body.secrets } : {}),
    ...(body.cwd === undefined ? {} : { cwd: body.cwd }),
    stdin: toStdin(body),
    ...(body.terminal ? { terminal: { ...body.terminal } } : {}),
    timeoutSeconds: body.timeoutSeconds ?? Math.min(DEFAULT_TIMEOUT_SECONDS, ...longest),
    queueTtlSeconds: body.queueTtlSeconds ?? DEFAULT_QUEUE_TTL_SECONDS,
    ...(body.cacheSeconds ? { cacheSeconds: body.cacheSeconds } : {}),
    ...(body.cpu === undefined ? {} : { cpu: body.cpu }),
    ...(body.memoryMiB === undefined ? {} : { memoryMiB: body.memoryMiB }),
    priority: body.priority ?? 'normal',
    labels: body.labels ?? {},
    isolation: weakest(landings.map(({ isolation }) => isolation)),
    retry: body.retry ?? { maxAttempts: 1, on: [] },
  };
};

/** What is typed is not known beforehand, and is not typed again. */
const checkTerminal = ({ terminal, stdin, stdinBase64, cacheSeconds = 0, retry }: SubmitCommand): void => {
  if (!terminal) return;
  const without = (pointer: string, detail: string) => refusal('invalid-request', pointer, `${pointer}: ${detail}`);
  if (stdin !== undefined && stdin !== 'open') throw without('/stdin', 'must be open, or left out, with a terminal');
  if (stdinBase64 !== undefined) throw without('/stdinBase64', 'must not be given with a terminal');
  if (cacheSeconds > 0) throw without('/cacheSeconds', 'is not for commands with a terminal');
  if (retry && retry.maxAttempts > 1) throw without('/retry/maxAttempts', 'must be 1 with a terminal');
};

const rank = (level: Isolation): number => ISOLATION_LEVELS.indexOf(level);
const weakest = (levels: readonly Isolation[]): Isolation =>
  levels.reduce((least, level) => (rank(level) < rank(least) ? level : least));

const toStdin = ({ stdin, stdinBase64, terminal }: SubmitCommand): Stdin => {
  if (stdin === 'open' || terminal) return { kind: 'open' };
  if (stdinBase64 !== undefined) return { kind: 'fixed', base64: stdinBase64 };
  if (stdin !== undefined) return { kind: 'fixed', base64: Buffer.from(stdin, 'utf8').toString('base64') };
  return { kind: 'none' };
};

/** Refused, never silently less. */
const checkFeatures = ({ name, features }: Target, body: SubmitCommand, level: Isolation): void => {
  const cannot = (pointer: string, what: string) =>
    refusal('unsupported-by-target', pointer, `The target ${name} cannot ${what}. See GET /v1/providers.`);
  if (body.image !== undefined && !features.customImage) throw cannot('/image', 'run an image');
  const limitsAt = features.resourceLimitsAt ?? [];
  if (!features.resourceLimits && !limitsAt.includes(level)) {
    const but = limitsAt.length > 0 ? ` but at isolation ${limitsAt.join(', ')}` : '';
    if (body.cpu !== undefined) throw cannot('/cpu', `limit the processor${but}`);
    if (body.memoryMiB !== undefined) throw cannot('/memoryMiB', `limit the memory${but}`);
  }
  if (body.timeoutSeconds !== undefined && body.timeoutSeconds > features.longestTimeoutSeconds) {
    throw cannot('/timeoutSeconds', `run longer than ${features.longestTimeoutSeconds} s`);
  }
  if ((body.stdin !== undefined || body.stdinBase64 !== undefined) && !features.stdin) {
    throw cannot('/stdin', 'give a command input');
  }
  const { terminals = [], terminalsLacking } = features;
  if (body.terminal && !terminals.includes(level)) {
    const at = terminals.length > 0 ? ` at isolation ${level}, only at ${terminals.join(', ')}` : '';
    const why = terminalsLacking === undefined ? '' : ` ${terminalsLacking}`;
    const detail = `The target ${name} cannot give a command a terminal${at}.${why} See GET /v1/providers.`;
    throw refusal('unsupported-by-target', '/terminal', detail);
  }
};

/** The weakest level of the target that is at least what was asked for. */
const isolationFor = ({ name, features }: Target, asked: Isolation | undefined): Isolation => {
  const [own] = features.isolation;
  if (asked === undefined && own) return own;
  const level = features.isolation.find((offered) => rank(offered) >= rank(asked ?? 'none'));
  if (level) return level;
  const offered = features.isolation.join(', ');
  const why = asked === undefined ? undefined : features.isolationLacking?.[asked];
  const detail = `The target ${name} offers isolation ${offered}, not ${asked}.${why === undefined ? '' : ` ${why}`}`;
  throw refusal('isolation-unavailable', '/isolation', detail);
};

const refusal = (code: ProblemCode, pointer: string, detail: string): AppError =>
  new AppError(code, detail, { faults: [{ in: 'body', pointer, detail }] });
