import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextInLog, READ_AT_ONCE } from '../../../shared/app/next-in-log.ts';
import type { AuditEvent } from '../../../shared/domain/audit.ts';
import type { Command } from '../../../shared/domain/command.ts';
import type { CommandId } from '../../../shared/domain/ids.ts';
import type { OpenCommand, PendingEvent } from '../../../shared/store/audit-log.ts';

const idOf = (n: number): CommandId => `cmd_${String(n).padStart(26, '0')}` as CommandId;

const commandOf = (n: number, starts: number, isEnded: boolean): Command =>
  ({
    id: idOf(n),
    tenant: 'default',
    spec: { target: 'local', isolation: 'none' },
    status: isEnded ? 'failed' : 'running',
    submittedBy: `actor-${n % 13}`,
    submittedAt: n,
    ...(isEnded ? { endedAt: 1_000 } : {}),
    attempts: Array.from({ length: starts }, (_, i) => ({ number: i + 1, target: 'local', startedAt: 10 * (i + 1) })),
  }) as unknown as Command;

const pendingOf = (subject: string, n: number): PendingEvent => ({
  id: `pending/${n}`,
  event: { type: 'command.signaled', at: new Date(n).toISOString(), actor: { id: 'a' }, subject, details: { n } },
});

describe('what comes next in a log', () => {
  test('is each event once, of each command from its submission to its end, within what one write takes', () => {
    const command = fc.record({
      starts: fc.integer({ min: 0, max: 3 }),
      isEnded: fc.boolean(),
      pending: fc.oneof({ weight: 9, arbitrary: fc.nat(2) }, { weight: 1, arbitrary: fc.nat(60) }),
    });
    const run = (shapes: readonly { starts: number; isEnded: boolean; pending: number }[], shuffle: number) => {
      const commands = shapes.map(({ starts, isEnded }, n) => commandOf(n, starts, isEnded));
      let waiting = shapes
        .flatMap(({ pending }, n) => Array.from({ length: pending }, () => idOf(n) as string))
        .concat('policy', 'policy')
        .map((subject, n) => ({ ...pendingOf(subject, n), order: (n * (2 * shuffle + 1)) % 101 }))
        .sort((a, b) => a.order - b.order)
        .map(({ order: _, ...one }) => one);
      const count = shapes.reduce((sum, { starts, isEnded }) => sum + 1 + starts + Number(isEnded), waiting.length);
      const records = new Map(commands.map((one) => [one.id, one]));
      let open: readonly OpenCommand[] = [];
      let commandsTo: CommandId | undefined;
      const log: AuditEvent[] = [];
      for (let i = 0; i < 500; i++) {
        const fresh = commands.filter(({ id }) => commandsTo === undefined || id > commandsTo);
        const next = nextInLog({
          pending: waiting.slice(0, READ_AT_ONCE.pending),
          open: open.slice(0, READ_AT_ONCE.open),
          records,
          fresh: fresh.slice(0, READ_AT_ONCE.commands),
          commandsTo,
        });
        if (next.events.length === 0) break;
        const parts = next.sealed.length + next.opened.length + next.moved.length + next.ended.length;
        expect(parts + new Set(next.taken.map(({ submittedBy }) => submittedBy)).size).toBeLessThanOrEqual(90);
        log.push(...next.events);
        waiting = waiting.filter(({ id }) => !next.sealed.some((one) => one.id === id));
        const moved = new Map(next.moved.map((one) => [one.id, one]));
        open = [...open, ...next.opened.map((one) => ({ ...one, version: 1 }))]
          .filter(({ id }) => !next.ended.includes(id))
          .map((one) => moved.get(one.id) ?? one);
        commandsTo = next.taken.at(-1)?.id ?? commandsTo;
      }
      expect(log).toHaveLength(count);
      expect(new Set(log.map((event) => JSON.stringify(event))).size).toBe(count);
      for (const { id, status } of commands) {
        const types = log.flatMap(({ subject, type }) => (subject === id ? [type] : []));
        expect(types[0]).toBe('command.submitted');
        if (status === 'failed') expect(types.at(-1)).toBe('command.ended');
      }
    };
    fc.assert(fc.property(fc.array(command, { maxLength: 60 }), fc.nat(50), run), { numRuns: 60 });
    // More than is read at once.
    run(
      Array.from({ length: 250 }, () => ({ starts: 1, isEnded: true, pending: 1 })),
      3,
    );
  });
});
