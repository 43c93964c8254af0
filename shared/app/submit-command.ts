import { createHash } from 'node:crypto';
import type { SubmitCommand } from '../contract/schemas.ts';
import { type Actor, isInScope, type Scope } from '../domain/actor.ts';
import { type Command, type CommandSpec, ISOLATION_LEVELS, type Isolation, type Stdin } from '../domain/command.ts';
import { AppError, type Fault } from '../domain/errors.ts';
import type { CommandId } from '../domain/ids.ts';
import { LIMITS } from '../domain/limits.ts';
import { hasQuotas } from '../domain/quotas.ts';
import type { Watch } from '../events/changes.ts';
import { type Reference, referenceOf } from '../store/schema.ts';
import type { Deps, Target } from './deps.ts';
import { requireSecrets } from './resolve-secrets.ts';

const DEFAULT_TIMEOUT_SECONDS = 3_600;
const DEFAULT_QUEUE_TTL_SECONDS = 3_600;

export interface Submission {
  readonly body: SubmitCommand;
  /** The caller's own key, to make a repeated request the same one. */
  readonly idempotencyKey?: string | undefined;
  readonly replayOf?: CommandId;
  /** Whether the caller will wait for the end. */
  readonly watched?: boolean;
}

/** What the caller is told: the command, and whether this request was a repeated one. */
export interface Submitted {
  readonly command: Command;
  readonly repeated: boolean;
  /** Of its record, begun before anything could happen to it; the caller disposes of it. Only with `watched`. */
  readonly watch?: Watch | undefined;
}

/**
 * Stores a command durably and wakes a worker. Nothing is stored when it throws.
 * @throws AppError 'invalid-request' for an unknown target or secret; 'forbidden' for labels, targets or secrets beyond the caller's rights; 'unsupported-by-target' and
 * 'isolation-unavailable' for what the target cannot do; 'idempotency-mismatch' for a key that was used with another body;
 * 'quota-exceeded' when its tenant has used what it may
 */
export const submitCommand = async (deps: Deps, actor: Actor, submission: Submission): Promise<Submitted> => {
  const { idempotencyKey, replayOf, watched = false } = submission;
  const body = withLabelsOf(actor.scope, submission.body);
  const spec = toSpec(targetsOf(actor.scope, deps.targets), body);
  await requireSecrets(deps, actor, body);
  const now = deps.clock.now();
  const expiresAt = now + spec.queueTtlSeconds * 1_000;
  const toll = hasQuotas(actor.limits) ? deps.meter.submission(actor.tenant, actor.limits) : undefined;
  const command: Command = {
    id: deps.newCommandId(),
    tenant: actor.tenant,
    spec,
    status: 'queued',
    submittedBy: actor.id,
    submittedAt: now,
    dueAt: Math.min(expiresAt, now + deps.rules.requeueSeconds * 1_000),
    expiresAt,
    signals: [],
    attempts: [],
    ...(replayOf === undefined ? {} : { replayOf }),
    ...(toll ? { metered: true } : {}),
  };
  const idempotency =
    idempotencyKey === undefined
      ? undefined
      : {
          keyHash: sha256(idempotencyKey),
          bodyHash: sha256(canonicalJson([replayOf ?? null, body])),
          expiresAt: now + LIMITS.idempotencySeconds * 1_000,
        };
  const added = await deps.commands.add(command, idempotency, now, toll);
  if (added.kind === 'repeated') return { command: await repeatedCommand(deps, actor, added), repeated: true };
  const { stored } = added;
  const watch = watched ? deps.changes.watch(referenceOf(actor.tenant, stored.command.id), ['record']) : undefined;
  await wake(deps, stored.command);
  return { command: stored.command, repeated: false, watch };
};

const repeatedCommand = async (
  deps: Deps,
  { tenant, scope }: Actor,
  { id, sameBody }: { id: CommandId; sameBody: boolean },
): Promise<Command> => {
  if (!sameBody) {
    const detail = `This Idempotency-Key was used for ${id} with another body. Use a new key for a new command.`;
    const faults: Fault[] = [{ in: 'header', pointer: '/idempotency-key', detail }];
    throw new AppError('idempotency-mismatch', detail, { faults });
  }
  const stored = await deps.commands.find(referenceOf(tenant, id));
  if (!stored || !isInScope(scope, stored.command)) {
    throw new AppError('conflict', `${id}, submitted with this Idempotency-Key, is no longer kept.`);
  }
  return stored.command;
};

/** The command is stored, so it will run: a queue that fails only makes it wait for the sweeper. */
const wake = async (deps: Deps, { id, tenant, spec }: Command): Promise<void> => {
  const reference: Reference = referenceOf(tenant, id);
  await deps.queue
    .send({ v: 1, id: reference }, { priority: spec.priority })
    .catch((error: unknown) =>
      deps.log.warn('A wake-up was not sent; the sweeper will find the command', { reference, error }),
    );
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

const toSpec = (targets: readonly Target[], body: SubmitCommand): CommandSpec => {
  const target = body.target === undefined ? targets[0] : targets.find(({ name }) => name === body.target);
  if (!target) {
    const known = targets.map(({ name }) => name).join(', ');
    throw refusal(
      'invalid-request',
      '/target',
      `There is no target ${JSON.stringify(body.target)}. Targets: ${known}.`,
    );
  }
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

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The same value gives the same text, whatever the order of its keys. */
const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
