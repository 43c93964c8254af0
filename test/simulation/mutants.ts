import type { ProfileName } from './profiles.ts';

/** One text of the product, and what stands there instead. */
interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** A bug that the simulation has to find. */
export interface Mutant {
  readonly name: string;
  /** Where it is looked for. */
  readonly profile: ProfileName;
  /** One by which it was found, which is played first. */
  readonly seed?: number;
  readonly edits: readonly Edit[];
  /** A second net catches what this one lets through, so that it must not be found alone. */
  readonly hiddenBy?: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'acknowledged-before-it-is-stored',
    profile: 'local',
    seed: 2,
    edits: [
      {
        file: 'shared/app/submit-command.ts',
        from: 'const added = await deps.commands.add(\n    command,\n    idempotency,\n    now,\n    allOf(quota, admitted.toll, deps.order.toll(actor.tenant, id)),\n  );',
        to: "void deps.commands.add(command, idempotency, now, allOf(quota, admitted.toll, deps.order.toll(actor.tenant, id))).catch(() => {});\n  const added = { kind: 'added', stored: { command, version: 1 } } as Awaited<ReturnType<typeof deps.commands.add>>;",
      },
    ],
  },
  {
    name: 'ticket-redeemed-twice',
    profile: 'cloud-run',
    seed: 20,
    edits: [
      {
        file: 'shared/engine/step.ts',
        from: "if (command.status !== 'starting' || attempt.ticket !== ticket",
        to: "if ((command.status !== 'starting' && command.status !== 'running') || attempt.ticket !== ticket",
      },
    ],
  },
  {
    name: 'runner-not-told-apart',
    profile: 'cloud-run',
    seed: 20,
    edits: [
      {
        file: 'shared/app/serve-runner.ts',
        from: 'if (!moved || redeemed?.runner !== runner || ',
        to: 'if (!moved || redeemed?.runner === undefined || ',
      },
    ],
  },
  {
    name: 'lease-decides-who-may-start',
    profile: 'cloud-run',
    seed: 121,
    edits: [
      {
        file: 'shared/engine/step.ts',
        from: "if (command.status !== 'starting' || attempt.ticket !== ticket",
        to: "if ((command.status !== 'starting' && context.now < attempt.leaseUntil) || attempt.ticket !== ticket",
      },
    ],
  },
  {
    name: 'blind-write',
    profile: 'cloud-run',
    seed: 3,
    edits: [
      {
        file: 'shared/store/commands.ts',
        from: '    return { ok: false, stored: toStored(await store.get(item)) };',
        to: '    for (let actual = await store.get(item); ; actual = await store.get(item)) {\n      const blind = { ...item, version: (actual?.version ?? 0) + 1 };\n      const again = await store.write([{ put: blind, ifVersion: actual?.version ?? 0 }]);\n      if (again.ok) return { ok: true, stored: { command: next, version: blind.version, indexedDueAt } };\n    }',
      },
    ],
  },
  {
    name: 'end-is-not-final',
    profile: 'cloud-run',
    seed: 21,
    edits: [
      {
        file: 'shared/engine/step.ts',
        from: 'if (isFinal(command.status)) return lookAtFinal(command, seen, context);',
        to: "if (isFinal(command.status) && (seen.kind === 'looked' || seen.kind === 'swept')) return lookAtFinal(command, seen, context);",
      },
    ],
  },
  {
    name: 'cancel-in-any-state',
    profile: 'cloud-run',
    seed: 20,
    edits: [
      {
        file: 'shared/engine/stop.ts',
        from: "if (!mayHaveRun(attempt, context)) return conclude(command, attempt, { kind: 'canceled' }, context);\n  return",
        to: "if (attempt) return conclude(command, attempt, { kind: 'canceled' }, context);\n  return",
      },
    ],
  },
  {
    name: 'restarted-after-lost',
    profile: 'local',
    seed: 12,
    edits: [
      {
        file: 'shared/engine/conclude.ts',
        from: 'command.spec.retry.on.includes(cause) &&\n  tries(command) < command.spec.retry.maxAttempts',
        to: "(cause === 'lost' || command.spec.retry.on.includes(cause)) &&\n  tries(command) < command.spec.retry.maxAttempts + 1",
      },
    ],
  },
  {
    name: 'retry-counts-wrong',
    profile: 'local',
    seed: 12,
    edits: [
      {
        file: 'shared/engine/conclude.ts',
        from: 'tries(command) < command.spec.retry.maxAttempts;',
        to: 'tries(command) <= command.spec.retry.maxAttempts;',
      },
    ],
  },
  {
    name: 'start-given-up-though-redeemed',
    profile: 'lambda',
    seed: 1,
    edits: [
      {
        file: 'shared/engine/step.ts',
        from: 'return mayHaveRun(attempt, context) ? stay(command) : giveUpStart(command, attempt, seen, context);',
        to: 'return giveUpStart(command, attempt, seen, context);',
      },
    ],
  },
  {
    name: 'gone-taken-for-never-started',
    profile: 'container-instances',
    seed: 7,
    edits: [
      {
        file: 'shared/engine/step.ts',
        from: '      if (!mayHaveRun(attempt, context)) return giveUpStart(command, attempt, seen, context);\n      if (isUnsure',
        to: '      if (!seen.exit) return giveUpStart(command, attempt, seen, context);\n      if (isUnsure',
      },
    ],
  },
  {
    name: 'attempt-and-ticket-used-again',
    profile: 'cloud-run',
    seed: 20,
    edits: [
      {
        file: 'shared/engine/step.ts',
        from: 'number: (currentAttempt(command)?.number ?? 0) + 1,',
        to: "number: currentAttempt(command)?.status === 'expired' ? (currentAttempt(command)?.number ?? 1) : (currentAttempt(command)?.number ?? 0) + 1,",
      },
      {
        file: 'shared/engine/step.ts',
        from: '    ticket,\n    worker,',
        to: '    ticket: currentAttempt(command)?.ticket ?? ticket,\n    worker,',
      },
      {
        file: 'shared/engine/step.ts',
        from: 'attempts: [...command.attempts, attempt],',
        to: 'attempts: [...command.attempts.filter(({ number }) => number !== attempt.number), attempt],',
      },
      {
        file: 'shared/app/serve-runner.ts',
        from: 'if (!moved || redeemed?.runner !== runner || ',
        to: 'if (!moved || ',
      },
    ],
  },
  {
    name: 'loser-goes-on',
    profile: 'local',
    seed: 13,
    edits: [
      {
        file: 'shared/app/observe-command.ts',
        from: '    stored = saved.stored;\n  }',
        to: '    return saved.stored && { stored: { ...saved.stored, command: next }, effects, changed: true };\n  }',
      },
    ],
  },
  {
    name: 'lease-alone-means-dead',
    profile: 'local',
    seed: 3,
    edits: [
      {
        file: 'shared/engine/step.ts',
        from: "  if (!mayHaveRun(attempt, context)) return giveUpStart(command, attempt, {}, context);\n  return { next: command, effects: [{ kind: 'observe', attempt }] };",
        to: '  return giveUpStart(command, attempt, {}, context);',
      },
    ],
  },
  {
    name: 'no-lease',
    profile: 'cloud-run',
    seed: 73,
    edits: [
      {
        file: 'shared/engine/step.ts',
        from: '    if (now < attempt.leaseUntil) return stay(command);\n    return giveUpSlowStart',
        to: '    return giveUpSlowStart',
      },
      {
        file: 'shared/app/advance-command.ts',
        from: "if (observed.kind === 'alive') return { kind: 'alive', attempt };",
        to: "if (observed.kind === 'alive') return { kind: 'alive', attempt };\n  if (observed.kind === 'gone' && !observed.exit) return { kind: 'rejected', attempt, detail: 'gone', retryable: true };",
      },
    ],
  },
  {
    name: 'unclear-start-tried-again',
    profile: 'image',
    seed: 13,
    edits: [
      {
        file: 'shared/app/run-attempt.ts',
        from: "if (outcome.kind === 'accepted') return leaveToRunner(deps, reference, attempt, outcome.ref);",
        to: "if (outcome.kind === 'accepted' && outcome.ref === undefined)\n    return observeCommand(deps, reference, { kind: 'rejected', attempt: attempt.number, detail: '', retryable: true });\n  if (outcome.kind === 'accepted') return leaveToRunner(deps, reference, attempt, outcome.ref);",
      },
    ],
  },
  {
    name: 'rest-of-output-dropped',
    profile: 'local',
    seed: 3,
    edits: [
      {
        file: 'shared/store/output-writer.ts',
        from: 'rest: pendingBytes === 0 ? undefined : take()',
        to: 'rest: undefined',
      },
    ],
  },
  {
    name: 'chunk-not-tried-again',
    profile: 'cloud-run',
    seed: 20,
    edits: [
      {
        file: 'shared/store/output-writer.ts',
        from: '        if (closing.aborted || isConflict(error)) throw error;\n        await clock.sleep(RETRY_MS, closing);',
        to: '        if (closing.aborted || isConflict(error)) throw error;\n        return;',
      },
    ],
  },
  {
    name: 'output-stored-after-the-end',
    profile: 'local',
    seed: 171,
    edits: [
      {
        file: 'shared/app/store-end.ts',
        from: '  const moved = await observeCommand(deps, reference, seen, { from, alongside });',
        to: '  const moved = await observeCommand(deps, reference, seen, { from });\n  if (alongside.length > 0) await deps.store.write(alongside);',
      },
    ],
  },
  {
    name: 'part-of-input-taken-twice',
    profile: 'cloud-run',
    seed: 162,
    edits: [
      {
        file: 'shared/store/stdin-log.ts',
        from: '          from + bytes.length <= offset &&',
        to: '          from + bytes.length < 0 &&',
      },
      {
        file: 'shared/store/stdin-log.ts',
        from: 'if (from !== undefined && from !== offset) {',
        to: 'if (from !== undefined && from > offset) {',
      },
    ],
  },
  {
    name: 'key-does-not-hold',
    profile: 'local',
    seed: 2,
    edits: [
      {
        file: 'shared/store/commands.ts',
        from: 'if (before && !fresh) {',
        to: "if (before && !fresh && idempotency.bodyHash === '') {",
      },
    ],
  },
  {
    name: 'end-counted-twice',
    profile: 'container-instances',
    seed: 2,
    edits: [
      {
        file: 'shared/limits/meter.ts',
        from: 'if (!next.metered || isFinal(before.status) || !isFinal(next.status)) return undefined;',
        to: 'if (!next.metered || !isFinal(next.status)) return undefined;',
      },
    ],
  },
  {
    name: 'day-ends-twice',
    profile: 'image',
    seed: 72,
    edits: [
      {
        file: 'shared/limits/meter.ts',
        from: 'const day = laterOf(dayOf(clock.now()), stored?.day);',
        to: 'const day = dayOf(clock.now());',
      },
    ],
  },
  {
    name: 'audit-forgets-where-it-was',
    profile: 'cloud-run',
    seed: 8,
    edits: [
      {
        file: 'shared/app/seal-audit.ts',
        from: 'commandsTo: next.taken.at(-1)?.id }',
        to: 'commandsTo: next.taken.at(-2)?.id }',
      },
    ],
  },
  {
    name: 'later-fields-dropped',
    profile: 'schedules',
    seed: 25,
    edits: [
      {
        file: 'shared/store/command-order.ts',
        from: 'data: { ...data, to: newest } }',
        to: 'data: { to: newest } }',
      },
    ],
  },
  {
    name: 'handed-in-twice',
    profile: 'cloud-run',
    seed: 6_158,
    edits: [
      {
        file: 'shared/app/log-overtaken.ts',
        from: 'const saved = await commands.save(stored, { ...command, loggedApart: true }, opening);',
        to: 'const latest = (await commands.find((tenant + "/" + id) as never)) ?? stored;\n  const saved = await commands.save(latest, { ...latest.command, loggedApart: true }, opening);',
      },
    ],
  },
  {
    name: 'second-invocation-believed',
    profile: 'lambda',
    seed: 117,
    edits: [
      {
        file: 'shared/providers/lambda/read-response.ts',
        from: "if (last.retryable && heard !== 'started') return { kind: 'unheard', detail: last.detail };",
        to: '',
      },
    ],
  },
  {
    name: 'half-milliseconds',
    profile: 'image',
    seed: 10,
    edits: [
      { file: 'shared/engine/release.ts', from: 'Math.ceil(lastedMs / 2)', to: 'lastedMs / 2' },
      {
        file: 'shared/store/schema.ts',
        from: 'if (!Number.isSafeInteger(value)) throw',
        to: 'if (Number.isNaN(value)) throw',
      },
    ],
  },
  {
    name: 'unheard-taken-for-gone',
    profile: 'lambda',
    seed: 1233,
    edits: [
      {
        file: 'shared/engine/conclude.ts',
        from: 'if (attempt?.stop && ending.unheard) {',
        to: "if (attempt?.stop && ending.kind !== 'lost') {",
      },
    ],
  },
  {
    name: 'no-sweep',
    profile: 'cloud-run',
    seed: 7,
    edits: [
      {
        file: 'shared/app/sweep.ts',
        from: '  const due = await deps.commands.due(deps.clock.now(), MOST_PER_SWEEP);',
        to: '  const due = (await deps.commands.due(deps.clock.now(), MOST_PER_SWEEP)).slice(0, 0);',
      },
    ],
  },
  {
    name: 'no-recovery',
    profile: 'local',
    hiddenBy: 'the sweeper',
    edits: [
      {
        file: 'shared/app/sweep.ts',
        from: "    if (status !== 'queued') return diedWithUs(deps, command) ? lookAtRun(deps, reference) : undefined;",
        to: "    if (status !== 'queued' || reference) return;",
      },
    ],
  },
  {
    name: 'no-recovery-and-no-sweep',
    profile: 'local',
    seed: 3,
    edits: [
      {
        file: 'shared/app/sweep.ts',
        from: "    if (status !== 'queued') return diedWithUs(deps, command) ? lookAtRun(deps, reference) : undefined;",
        to: "    if (status !== 'queued' || reference) return;",
      },
      {
        file: 'shared/app/sweep.ts',
        from: '  const due = await deps.commands.due(deps.clock.now(), MOST_PER_SWEEP);',
        to: '  const due = (await deps.commands.due(deps.clock.now(), MOST_PER_SWEEP)).slice(0, 0);',
      },
    ],
  },
  {
    name: 'no-wake-up',
    profile: 'local',
    hiddenBy: 'the sweeper',
    edits: [
      {
        file: 'shared/app/submit-command.ts',
        from: '  await wake(deps, stored.command);\n  if (asked)',
        to: '  if (asked)',
      },
    ],
  },
  {
    name: 'no-wake-up-and-no-sweep',
    profile: 'cloud-run',
    seed: 1,
    edits: [
      {
        file: 'shared/app/submit-command.ts',
        from: '  await wake(deps, stored.command);\n  if (asked)',
        to: '  if (asked)',
      },
      {
        file: 'shared/app/sweep.ts',
        from: '  const due = await deps.commands.due(deps.clock.now(), MOST_PER_SWEEP);',
        to: '  const due = (await deps.commands.due(deps.clock.now(), MOST_PER_SWEEP)).slice(0, 0);',
      },
    ],
  },
  {
    name: 'late-start-not-taken-back',
    profile: 'container-instances',
    hiddenBy: 'the search for orphans',
    edits: [
      {
        file: 'shared/engine/step.ts',
        from: "if (seen.kind === 'accepted' && !waitsFor(command, seen.attempt)) return takeBack(command, seen, context);",
        to: '',
      },
    ],
  },
  {
    name: 'late-start-not-taken-back-and-no-search',
    profile: 'container-instances',
    seed: 9,
    edits: [
      {
        file: 'shared/engine/step.ts',
        from: "if (seen.kind === 'accepted' && !waitsFor(command, seen.attempt)) return takeBack(command, seen, context);",
        to: '',
      },
      {
        file: 'shared/app/end-orphans.ts',
        from: '  if (run.createdAt === undefined || deps.clock.now() - run.createdAt < GRACE_MS) return false;',
        to: '  if (run.createdAt !== -1) return false;',
      },
    ],
  },
  {
    name: 'nothing-released',
    profile: 'container-instances',
    hiddenBy: 'the search for orphans',
    edits: [
      {
        file: 'shared/engine/release.ts',
        from: '    attempt.held && (isFinal(status) || attempt.endedAt !== undefined) ?',
        to: "    attempt.held && status === 'queued' && attempt.endedAt !== undefined ?",
      },
    ],
  },
  {
    name: 'nothing-released-and-no-search',
    profile: 'container-instances',
    seed: 1,
    edits: [
      {
        file: 'shared/engine/release.ts',
        from: '    attempt.held && (isFinal(status) || attempt.endedAt !== undefined) ?',
        to: "    attempt.held && status === 'queued' && attempt.endedAt !== undefined ?",
      },
      {
        file: 'shared/app/end-orphans.ts',
        from: '  if (run.createdAt === undefined || deps.clock.now() - run.createdAt < GRACE_MS) return false;',
        to: '  if (run.createdAt !== -1) return false;',
      },
    ],
  },
  {
    name: 'run-left-though-it-had-begun',
    profile: 'failover',
    seed: 1158,
    edits: [
      {
        file: 'shared/engine/step.ts',
        from: "if (mayHaveRun(attempt, context) || state !== 'down' ||",
        to: "if (state !== 'down' ||",
      },
    ],
  },
  {
    name: 'ticket-good-on-the-target-before',
    profile: 'failover',
    seed: 1687,
    edits: [
      {
        file: 'shared/engine/step.ts',
        from: 'if (!attempt || attempt.number !== seen.attempt || ',
        to: 'if (!attempt || ',
      },
      {
        file: 'shared/engine/step.ts',
        from: "if ('ticket' in seen && seen.ticket !== attempt.ticket)",
        to: 'if (seen === undefined)',
      },
      {
        file: 'shared/engine/step.ts',
        from: "if (command.status !== 'starting' || attempt.ticket !== ticket ||",
        to: "if (command.status !== 'starting' || ticket === '' ||",
      },
    ],
  },
  {
    name: 'firing-has-no-key',
    profile: 'schedules-far',
    seed: 2,
    edits: [
      {
        file: 'shared/app/fire-schedule.ts',
        from: 'submitter, { body, idempotency, scheduledBy }',
        to: 'submitter, { body, ...(at < 0 ? { idempotency } : {}), scheduledBy }',
      },
    ],
  },
  {
    name: 'instant-passed-before-it-is-submitted',
    profile: 'schedules',
    seed: 5,
    edits: [
      {
        file: 'shared/app/fire-schedule.ts',
        from: '  try {\n    const { id, trace } = await withinTrace(',
        to: "  try {\n    await store({ outcome: 'submitted' });\n    const { id, trace } = await withinTrace(",
      },
    ],
  },
  {
    name: 'missed-instants-forgotten',
    profile: 'schedules',
    seed: 3,
    edits: [
      {
        file: 'shared/domain/schedule-steps.ts',
        from: '  return noteFiring({ ...schedule, next: resumeAt }, missed);',
        to: '  return missed.at < 0 ? undefined as never : { ...schedule, next: resumeAt };',
      },
    ],
  },
  {
    name: 'node-without-its-key',
    profile: 'workflows',
    seed: 7,
    edits: [
      {
        file: 'shared/app/advance-workflow.ts',
        from: 'submitCommand(deps, submitter, { body, idempotency, workflow: origin })',
        to: 'submitCommand(deps, submitter, { body, ...(item < 0 ? { idempotency } : {}), workflow: origin })',
      },
    ],
  },
  {
    name: 'generation-not-in-the-key',
    profile: 'workflows',
    seed: 1,
    edits: [
      {
        file: 'shared/app/advance-workflow.ts',
        from: '  { id, generation, deadlineAt }: Workflow,\n  { node, item }: { readonly node: string; readonly item: number },\n): Idempotency => {',
        to: '  { id, deadlineAt }: Workflow,\n  { node, item }: { readonly node: string; readonly item: number },\n): Idempotency => {\n  const generation = 1;',
      },
    ],
  },
  {
    name: 'submitted-before-it-is-claimed',
    profile: 'workflows-far',
    seed: 16,
    edits: [
      {
        file: 'shared/app/advance-workflow.ts',
        from: '    if (next !== workflow) {\n',
        to: '    if (next !== workflow) {\n      await perform(deps, { workflow: next, plan: known, effects });\n',
      },
    ],
  },
  {
    name: 'workflow-saved-blindly',
    profile: 'workflows-far',
    seed: 52,
    edits: [
      {
        file: 'shared/store/workflows.ts',
        from: '        if (!isOwn) return undefined;',
        to: '        const actual = await store.get(item);\n        if (!isOwn) await store.write([{ put: { ...item, version: (actual?.version ?? 0) + 1 }, ifVersion: actual?.version ?? 0 }]);',
      },
    ],
  },
  {
    name: 'claim-forgotten-at-a-stop',
    profile: 'workflows',
    seed: 25,
    edits: [
      {
        file: 'shared/domain/workflow-steps.ts',
        from: 'if (!submission) return { run };',
        to: "if (!submission) return { run: isStopped ? { status: 'canceled' } : run };",
      },
    ],
  },
  {
    name: 'workflow-ends-before-its-commands',
    profile: 'workflows',
    seed: 1,
    edits: [
      {
        file: 'shared/domain/workflow-steps.ts',
        from: '  if (!end) return { run };',
        to: "  if (!end && run.status === 'running' && isStopped) return { run: { status: 'canceled', command: run.command } };\n  if (!end) return { run };",
      },
    ],
  },
  {
    name: 'node-begins-with-its-first-need',
    profile: 'workflows',
    seed: 15,
    edits: [
      {
        file: 'shared/domain/workflow-steps.ts',
        from: 'if (!needs.every((needed) =>',
        to: 'if (needs.length > 0 && !needs.some((needed) =>',
      },
    ],
  },
  {
    name: 'concurrency-of-each-step',
    profile: 'workflows',
    seed: 2,
    edits: [
      {
        file: 'shared/domain/workflow-steps.ts',
        from: 'let active = running.reduce(',
        to: 'let active = 0 * running.reduce(',
      },
    ],
  },
  {
    name: 'workflows-not-swept',
    profile: 'workflows-far',
    seed: 10,
    edits: [
      {
        file: 'shared/app/sweep-workflows.ts',
        from: 'const due = await deps.workflows.due(until, MOST_PER_SWEEP);',
        to: 'const due = (await deps.workflows.due(until, MOST_PER_SWEEP)).slice(0, 0);',
      },
    ],
  },
  {
    name: 'logged-apart-and-logged-again',
    profile: 'workflows-far',
    seed: 36,
    edits: [
      {
        file: 'shared/app/next-in-log.ts',
        from: 'const told = taken.filter(({ loggedApart }) => !loggedApart);',
        to: 'const told = taken;',
      },
    ],
  },
  {
    name: 'given-up-and-not-withdrawn',
    profile: 'workflows-far',
    seed: 179,
    edits: [
      {
        file: 'shared/app/advance-workflow.ts',
        from: 'const earlier = await withdrawSubmission(deps, workflow.tenant, idempotency);',
        to: 'const earlier = (await deps.commands.findRepeated(workflow.tenant, idempotency, deps.clock.now()))?.id;',
      },
    ],
  },
];
