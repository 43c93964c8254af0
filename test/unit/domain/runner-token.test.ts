import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CommandId } from '../../../shared/domain/ids.ts';
import { toTenantId } from '../../../shared/domain/ids.ts';
import { parseRunnerToken, toRunnerToken } from '../../../shared/domain/runner-token.ts';
import { commandId } from '../../support/commands.ts';

const TICKET = '0123456789abcdef0123456789abcdef';
const right = { tenant: toTenantId('default'), id: commandId(), attempt: 1, ticket: TICKET };
const GOOD = `default.${commandId()}.1.${TICKET}`;

describe('the token of an attempt', () => {
  test('is text that a header and an environment can carry, and comes back as the right that it is', () => {
    expect(toRunnerToken(right)).toBe(GOOD);
    expect(parseRunnerToken(GOOD)).toEqual(right);
  });

  test.for<[string, string]>([
    ['nothing', ''],
    ['dots only', '...'],
    ['a part too few', GOOD.slice(0, GOOD.lastIndexOf('.'))],
    ['a part too many', `${GOOD}.x`],
    ['an empty part at the end', `${GOOD}.`],
    ['a line end after it', `${GOOD}\n`],
    ['a space before it', ` ${GOOD}`],
    ['no tenant', GOOD.slice('default'.length)],
    ['a tenant in capitals', GOOD.replace('default', 'Default')],
    ['a tenant that leaves its folder', GOOD.replace('default', '../other')],
    ['a tenant too long', GOOD.replace('default', 'a'.repeat(64))],
    ['another id', GOOD.replace('cmd_', 'job_')],
    ['an id too short', GOOD.replace('cmd_0', 'cmd_')],
    ['an id with a slash', GOOD.replace('cmd_0', 'cmd_/')],
    ['attempt 0', GOOD.replace('.1.', '.0.')],
    ['attempt 01', GOOD.replace('.1.', '.01.')],
    ['attempt -1', GOOD.replace('.1.', '.-1.')],
    ['attempt 1e3', GOOD.replace('.1.', '.1e3.')],
    ['attempt 1000000', GOOD.replace('.1.', '.1000000.')],
    ['attempt in other digits', GOOD.replace('.1.', '.١.')],
    ['a ticket too short', GOOD.slice(0, -1)],
    ['a ticket too long', `${GOOD}0`],
    ['a ticket in capitals', GOOD.toUpperCase().replace('DEFAULT.CMD_', 'default.cmd_')],
  ])('is refused with %s', ([, token]) => {
    expect(parseRunnerToken(token)).toBeUndefined();
  });

  test('goes there and back for any right', () => {
    const rights = fc.record({
      tenant: fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,62}$/).map(toTenantId),
      id: fc.stringMatching(/^cmd_[0-7][0-9a-hjkmnp-tv-z]{25}$/).map((id) => id as CommandId),
      attempt: fc.integer({ min: 1, max: 999_999 }),
      ticket: fc.stringMatching(/^[0-9a-f]{32}$/),
    });
    fc.assert(fc.property(rights, (one) => void expect(parseRunnerToken(toRunnerToken(one))).toEqual(one)));
  });

  test('never throws, and what it takes is exactly what it would write', () => {
    const nearly = fc
      .tuple(fc.nat(GOOD.length), fc.nat(3), fc.string({ maxLength: 3, unit: 'binary' }))
      .map(([from, length, by]) => GOOD.slice(0, from) + by + GOOD.slice(from + length));
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), nearly), (token) => {
        const parsed = parseRunnerToken(token);
        if (parsed) expect(toRunnerToken(parsed)).toBe(token);
      }),
      { numRuns: 2_000 },
    );
  });
});
