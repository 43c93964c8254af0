import { describe, expect, test } from 'vitest';
import type { Conditions, Effect, Hours, Policy, PolicyRule } from '../../../shared/domain/policy.ts';
import { decide, type Facts } from '../../../shared/policy/decide.ts';
import { matchesGlob } from '../../../shared/policy/glob.ts';
import { isWithin } from '../../../shared/policy/hours.ts';
import { readCommand } from '../../../shared/policy/reading.ts';
import { FACTS } from './facts.ts';

const reading = (command: string | readonly [string, ...string[]]) =>
  readCommand(
    typeof command === 'string'
      ? { script: command, shell: '/bin/sh', env: {} }
      : { argv: command, shell: '/bin/sh', env: {} },
  );
const rule = (effect: Effect, conditions: Conditions & { except?: Conditions }, name = 'a'): PolicyRule => ({
  name,
  effect,
  ...conditions,
});
const effectOf = (policy: Policy, command: Parameters<typeof reading>[0], facts: Partial<Facts> = {}) =>
  decide(policy, { ...FACTS, ...facts }, reading(command)).effect;

describe('the strictest rule wins, whatever their order', () => {
  const rules = [
    rule('allow', { programs: ['git'] }, 'allow'),
    rule('approval', { anyArgument: ['push'] }, 'approval'),
    rule('deny', { anyArgument: ['--force'] }, 'deny'),
  ];
  test.for<[argv: [string, ...string[]], effect: Effect]>([
    [['git', 'status'], 'allow'],
    [['git', 'push'], 'approval'],
    [['git', 'push', '--force'], 'deny'],
    [['hg'], 'deny'],
  ])('%j: %s', ([argv, effect]) => {
    expect(effectOf({ default: 'deny', rules }, argv)).toBe(effect);
    expect(effectOf({ default: 'deny', rules: rules.toReversed() }, argv)).toBe(effect);
  });
});

describe('a condition', () => {
  test.for<[conditions: Conditions, facts: Partial<Facts>, applies: boolean]>([
    [{ roles: ['agent', 'op*'] }, {}, true],
    [{ roles: ['agent'] }, {}, false],
    [{ members: ['mem_0000000000000001'] }, {}, true],
    [{ targets: ['lo?al'] }, {}, true],
    [{ targets: ['prod'] }, {}, false],
    [{ images: ['*'] }, {}, false],
    [{ images: ['ghcr.io/acme/*'] }, { image: 'ghcr.io/acme/app:1' }, true],
    [{ images: ['ghcr.io/acme/*'] }, { image: 'evil.io/ghcr.io/acme/x' }, false],
    [{ labels: { team: 'a*' } }, { labels: { team: 'alpha' } }, true],
    [{ labels: { team: 'a*' } }, {}, false],
    [{ secrets: ['prod-*'] }, { secrets: ['dev', 'prod-db'] }, true],
    [{ isolationBelow: 'sandbox' }, { isolation: 'container' }, true],
    [{ isolationBelow: 'sandbox' }, { isolation: 'sandbox' }, false],
    [{ network: 'reachable' }, { network: 'none' }, false],
    [{ over: { timeoutSeconds: 60 } }, { timeoutSeconds: 60 }, false],
    [{ over: { timeoutSeconds: 60 } }, { timeoutSeconds: 61 }, true],
    [{ over: { memoryMiB: 512, attempts: 1 } }, { attempts: 2 }, true],
    [{ over: { memoryMiB: 512 } }, {}, false],
    [{ hours: { timeZone: 'UTC', from: '15:00', to: '15:01' } }, {}, true],
    [{ roles: ['operator'], targets: ['prod'] }, {}, false],
    [{}, {}, true],
  ])('%j with %j: %j', ([conditions, facts, applies]) => {
    expect(effectOf({ default: 'allow', rules: [rule('deny', conditions)] }, ['x'], facts)).toBe(
      applies ? 'deny' : 'allow',
    );
    expect(effectOf({ default: 'deny', rules: [rule('allow', conditions)] }, ['x'], facts)).toBe(
      applies ? 'allow' : 'deny',
    );
    const except = { except: conditions };
    expect(effectOf({ default: 'allow', rules: [rule('deny', except)] }, ['x'], facts)).toBe(
      applies ? 'allow' : 'deny',
    );
  });
});

describe('what is not known of an argument is taken against the command', () => {
  test.for<[rules: PolicyRule[], effect: Effect]>([
    [[rule('allow', { programs: ['ls'], everyArgument: ['-l', '/tmp/*'] })], 'deny'],
    [[rule('allow', { programs: ['ls'], everyArgument: ['*'] })], 'allow'],
    [[rule('allow', { programs: ['ls'] })], 'allow'],
    [[rule('allow', { programs: ['ls'] }), rule('deny', { anyArgument: ['/etc*'] }, 'b')], 'deny'],
    [[rule('allow', { programs: ['ls'], except: { anyArgument: ['/etc*'] } })], 'deny'],
    [
      [rule('allow', { programs: ['ls'] }), rule('deny', { programs: ['ls'], except: { everyArgument: ['-l'] } }, 'b')],
      'deny',
    ],
  ])('%j: %s', ([rules, effect]) => {
    expect(effectOf({ default: 'deny', rules }, 'ls "$WHERE"')).toBe(effect);
  });
});

test('a builtin of the shell needs no leave, but is bound by what else a rule asks', () => {
  const rules = [rule('allow', { programs: ['git'], targets: ['local'] })];
  expect(effectOf({ default: 'deny', rules }, 'cd /tmp')).toBe('allow');
  expect(effectOf({ default: 'deny', rules }, 'cd /tmp', { target: 'prod' })).toBe('deny');
  expect(effectOf({ default: 'allow', rules: [rule('deny', { programs: ['echo'] })] }, 'echo x')).toBe('deny');
  expect(effectOf({ default: 'deny', rules }, '# nothing')).toBe('allow');
});

test('files that a script opens are asked for as programs', () => {
  const rules = [
    rule('allow', { programs: ['ls'] }),
    rule('allow', { programs: ['>'], everyArgument: ['/tmp/*'] }, 'files'),
  ];
  const policy: Policy = { default: 'deny', rules };
  expect(effectOf(policy, 'ls > /tmp/out 2>&1')).toBe('allow');
  expect(effectOf(policy, 'ls > /dev/null')).toBe('allow');
  for (const script of [
    'ls > /etc/passwd',
    'ls >> ~/.profile',
    'ls < /tmp/in',
    'ls > /tmp/../etc/passwd',
    'ls > "$X"',
    '>out',
    'ls <> /tmp/x',
  ]) {
    expect([script, effectOf(policy, script)]).toEqual([script, 'deny']);
  }
});

describe('what cannot be read', () => {
  const script = '$PROGRAM x';
  const programs = [rule('allow', { programs: ['ls'] })];
  test('is denied where a rule asks what is run', () => {
    expect(effectOf({ default: 'allow', rules: programs }, script)).toBe('deny');
    expect(effectOf({ default: 'allow', rules: [rule('deny', { except: { anyArgument: ['x'] } })] }, script)).toBe(
      'deny',
    );
  });
  test('does not matter where none does', () => {
    expect(effectOf({ default: 'allow', rules: [rule('deny', { targets: ['prod'] })] }, script)).toBe('allow');
  });
  test('is as the policy says, if that is stricter than what can be read', () => {
    expect(effectOf({ default: 'allow', unreadable: 'approval', rules: programs }, script)).toBe('approval');
    expect(effectOf({ default: 'allow', unreadable: 'allow', rules: programs }, script)).toBe('allow');
    const denied = [rule('deny', { programs: ['rm'] })];
    expect(effectOf({ default: 'allow', unreadable: 'allow', rules: denied }, `rm; ${script}`)).toBe('deny');
  });
});

describe('a pattern', () => {
  test.for<[pattern: string, text: string, matches: boolean]>([
    ['git', 'git', true],
    ['git', 'gits', false],
    ['*', '', true],
    ['a*c', 'abc', true],
    ['a*c', 'abcd', false],
    ['*.log', 'x.log', true],
    ['a?c', 'ac', false],
    ['**a**', 'xax', true],
    ['a.c', 'abc', false],
    ['[a]', 'a', false],
    ['a\nb', 'a\nb', true],
    ['*b', 'a\nb', true],
    ['', '', true],
  ])('%j, %j: %j', ([pattern, text, matches]) => {
    expect(matchesGlob(pattern, text)).toBe(matches);
  });

  test('with a hundred stars is answered on a long text', () => {
    expect(matchesGlob(`${'a*'.repeat(100)}b`, 'a'.repeat(20_000))).toBe(false);
  });
});

describe('hours', () => {
  const berlin: Hours = { timeZone: 'Europe/Berlin', days: ['mon', 'fri'], from: '08:00', to: '18:00' };
  const night: Hours = { timeZone: 'UTC', days: ['fri'], from: '22:00', to: '06:00' };
  test.for<[hours: Hours, at: string, isWithin: boolean]>([
    [berlin, '2026-11-23T07:00:00Z', true],
    [berlin, '2026-11-23T06:59:59Z', false],
    [berlin, '2026-11-23T16:59:59Z', true],
    [berlin, '2026-11-23T17:00:00Z', false],
    [berlin, '2026-11-24T12:00:00Z', false],
    // Summer time there.
    [berlin, '2026-07-06T06:00:00Z', true],
    [night, '2026-11-27T23:00:00Z', true],
    [night, '2026-11-28T05:59:00Z', true],
    [night, '2026-11-28T06:00:00Z', false],
    [night, '2026-11-27T05:00:00Z', false],
    [{ timeZone: 'Asia/Kolkata', from: '00:00', to: '00:30' }, '2026-11-24T18:30:00Z', true],
  ])('%j at %s: %j', ([hours, at, expected]) => {
    expect(isWithin(hours, Date.parse(at))).toBe(expected);
  });
});
