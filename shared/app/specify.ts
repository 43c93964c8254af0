import type { SubmitCommand } from '../contract/schemas.ts';
import type { Scope } from '../domain/actor.ts';
import { type CommandSpec, ISOLATION_LEVELS, type Isolation, type Stdin } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import type { Deps, Target } from './deps.ts';

const DEFAULT_TIMEOUT_SECONDS = 3_600;
const DEFAULT_QUEUE_TTL_SECONDS = 3_600;

/** What is asked for, in full. */
export interface Specified {
  /** With the labels of the caller's scope. */
  readonly body: SubmitCommand;
  readonly spec: CommandSpec;
  readonly target: Target;
}

/**
 * Fills in what a submission leaves to us, and checks it against its target and the caller's scope.
 * @throws AppError 'invalid-request' for an unknown target; 'forbidden' for labels or targets beyond the scope; 'unsupported-by-target' and
 * 'isolation-unavailable' for what the target cannot do
 */
export const specify = (targets: Deps['targets'], scope: Scope, submitted: SubmitCommand): Specified => {
  const body = withLabelsOf(scope, submitted);
  const target = targetOf(targetsOf(scope, targets), body.target);
  return { body, spec: toSpec(target, body), target };
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

const targetsOf = ({ targets: names }: Scope, all: Deps['targets']): readonly Target[] => {
  if (!names) return all;
  const targets = all.filter(({ name }) => names.includes(name));
  if (targets.length > 0) return targets;
  throw refusal('forbidden', '/target', 'You may not use any of the targets here.');
};

const targetOf = (targets: readonly Target[], wanted: string | undefined): Target => {
  const target = wanted === undefined ? targets[0] : targets.find(({ name }) => name === wanted);
  if (target) return target;
  const known = targets.map(({ name }) => name).join(', ');
  throw refusal('invalid-request', '/target', `There is no target ${JSON.stringify(wanted)}. Targets: ${known}.`);
};

const toSpec = (target: Target, body: SubmitCommand): CommandSpec => {
  const isolation = isolationFor(target, body.isolation);
  checkFeatures(target, body, isolation);
  const [program, ...args] = body.argv ?? [];
  return {
    ...(program === undefined ? {} : { argv: [program, ...args] as const }),
    ...(body.script === undefined ? {} : { script: body.script }),
    shell: body.shell ?? '/bin/sh',
    target: target.name,
    ...(body.image === undefined ? {} : { image: body.image }),
    env: body.env ?? {},
    ...(body.secrets && Object.keys(body.secrets).length > 0 ? { secrets: body.secrets } : {}),
    ...(body.cwd === undefined ? {} : { cwd: body.cwd }),
    stdin: toStdin(body),
    timeoutSeconds: body.timeoutSeconds ?? Math.min(DEFAULT_TIMEOUT_SECONDS, target.features.longestTimeoutSeconds),
    queueTtlSeconds: body.queueTtlSeconds ?? DEFAULT_QUEUE_TTL_SECONDS,
    ...(body.cpu === undefined ? {} : { cpu: body.cpu }),
    ...(body.memoryMiB === undefined ? {} : { memoryMiB: body.memoryMiB }),
    priority: body.priority ?? 'normal',
    labels: body.labels ?? {},
    isolation,
    retry: body.retry ?? { maxAttempts: 1, on: [] },
  };
};

const toStdin = ({ stdin, stdinBase64 }: SubmitCommand): Stdin => {
  if (stdin === 'open') return { kind: 'open' };
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
};

/** The weakest level of the target that is at least what was asked for. */
const isolationFor = ({ name, features }: Target, asked: Isolation | undefined): Isolation => {
  const [own] = features.isolation;
  if (asked === undefined && own) return own;
  const rank = (level: Isolation) => ISOLATION_LEVELS.indexOf(level);
  const level = features.isolation.find((offered) => rank(offered) >= rank(asked ?? 'none'));
  if (level) return level;
  const offered = features.isolation.join(', ');
  const why = asked === undefined ? undefined : features.isolationLacking?.[asked];
  const detail = `The target ${name} offers isolation ${offered}, not ${asked}.${why === undefined ? '' : ` ${why}`}`;
  throw refusal('isolation-unavailable', '/isolation', detail);
};

const refusal = (
  code: 'forbidden' | 'invalid-request' | 'unsupported-by-target' | 'isolation-unavailable',
  pointer: string,
  detail: string,
): AppError => new AppError(code, detail, { faults: [{ in: 'body', pointer, detail }] });
