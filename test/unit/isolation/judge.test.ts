import { describe, expect, test } from 'vitest';
import {
  type Aftermath,
  type Finding,
  judge,
  type Outcome,
  type ProbeAbout,
  summarize,
  withAftermath,
} from '../../../shared/isolation/judge.ts';
import { type AtProcess, type Planted, PROBES } from '../../../shared/isolation/probes.ts';
import { readVerdict, type Verdict } from '../../../shared/isolation/verdict.ts';

const probe: ProbeAbout = { name: 'read-data', group: 'files', severity: 'host-leak', tries: 'read the data' };
const verdict = (word: Verdict['word']): Verdict => ({ word, detail: `${word} it was` });

describe('what a probe proves', () => {
  test.for<[string, AtProcess, boolean, Verdict['word'], Verdict['word'], Outcome]>([
    ['sandbox', 'held', true, 'hit', 'held', 'held'],
    ['sandbox', 'held', true, 'hit', 'hit', 'hit'],
    ['sandbox', 'open', false, 'hit', 'hit', 'hit'],
    ['container', 'open', false, 'hit', 'hit', 'hit'],
    ['sandbox', 'held', true, 'held', 'held', 'unproven'],
    ['sandbox', 'held', true, 'absent', 'held', 'unproven'],
    ['sandbox', 'held', true, 'broken', 'held', 'unproven'],
    ['sandbox', 'held', true, 'hit', 'absent', 'unproven'],
    ['sandbox', 'held', true, 'hit', 'broken', 'broken'],
    ['sandbox', 'held', true, 'held', 'broken', 'broken'],
    // What gets through gets through, also where the control was kept out.
    ['sandbox', 'held', true, 'held', 'hit', 'hit'],
    ['process', 'held', true, 'hit', 'hit', 'hit'],
    ['process', 'open', true, 'hit', 'hit', 'open'],
    ['process', 'open', true, 'hit', 'held', 'held'],
    ['process', 'own-user', true, 'hit', 'hit', 'hit'],
    ['process', 'own-user', false, 'hit', 'hit', 'open'],
    ['none', 'held', false, 'hit', 'hit', 'open'],
  ])('at %s, planned as %s (own users: %s): %s without walls and %s within is %s', (row) => {
    const [level, atProcess, ownUsers, control, inside, outcome] = row;
    const found = judge({ probe, level, atProcess, ownUsers, control: verdict(control), inside: verdict(inside) });
    expect(found).toMatchObject({ ...probe, outcome });
    expect(found.detail).toContain(outcome === 'unproven' && control !== 'hit' ? control : inside);
  });
});

describe('a verdict', () => {
  const begins = 'errand-probe: begins x\n';
  test.for<[string, number | null, string | null, string, Verdict['word']]>([
    ['a hit', 0, null, `${begins}errand-probe: hit read it\n`, 'hit'],
    ['a wall that held', 1, null, `${begins}errand-probe: held no\n`, 'held'],
    ['what cannot be tried', 2, null, `${begins}errand-probe: absent no disk\n`, 'absent'],
    ['a kill by the wall', null, 'SIGSYS', begins, 'held'],
    ['a kill that a shell reports', 137, null, begins, 'held'],
    ['the last of two words', 1, null, `${begins}errand-probe: hit a\nerrand-probe: held b\n`, 'held'],
    ['an exit that belies the word', 1, null, `${begins}errand-probe: hit read it\n`, 'broken'],
    ['a kill after the word', null, 'SIGKILL', `${begins}errand-probe: held no\n`, 'broken'],
    ['a wall that was never built', 1, null, '', 'broken'],
    ['a wall that died', null, 'SIGKILL', '', 'broken'],
    ['a success that says nothing', 0, null, '', 'broken'],
    ['an end without a word', 1, null, begins, 'broken'],
    ['words of someone else', 0, null, `not errand-probe: hit x\n`, 'broken'],
  ])('of %s is read', ([, exitCode, signal, stdout, word]) => {
    expect(readVerdict({ exitCode, signal, stdout, detail: '' })).toMatchObject({ word });
  });

  test('of a probe that did not begin says what the place said', () => {
    expect(readVerdict({ exitCode: 1, signal: null, stdout: '', detail: 'bwrap: no namespaces' }).detail).toContain(
      'bwrap: no namespaces',
    );
  });
});

describe('after a bomb', () => {
  const well: Aftermath = { isHealthy: true, nextMs: 80, leftovers: 0 };
  test.for<[string, Aftermath, Verdict['word']]>([
    ['all is well', well, 'held'],
    ['the next command took a second', { ...well, nextMs: 1_000 }, 'held'],
    ['the next command took longer', { ...well, nextMs: 1_001 }, 'hit'],
    ['something was left', { ...well, leftovers: 1 }, 'hit'],
    ['the server is not well', { ...well, isHealthy: false }, 'hit'],
  ])('when %s, one that was held is %s', ([, aftermath, word]) => {
    expect(withAftermath(verdict('held'), aftermath).word).toBe(word);
    expect(withAftermath(verdict('broken'), aftermath).word).toBe('broken');
  });
});

describe('a report', () => {
  const finding = (outcome: Outcome): Finding => ({ ...probe, outcome, detail: '' });
  test.for<[string, Outcome[], boolean]>([
    ['sandbox', ['held', 'unproven'], true],
    ['sandbox', ['held', 'hit'], false],
    ['sandbox', ['held', 'broken'], false],
    ['sandbox', ['unproven', 'unproven'], false],
    ['sandbox', [], false],
    ['process', ['held', 'open'], true],
    ['process', ['open', 'hit'], false],
    ['none', ['open', 'unproven'], true],
  ])('of %s with %j passes: %s', ([level, outcomes, passed]) => {
    const report = summarize(true, new Map([[level, outcomes.map(finding)]]));
    expect(report.passed).toBe(passed);
    expect(Object.values(report.levels[0]?.counts ?? {}).reduce((sum, count) => sum + count, 0)).toBe(outcomes.length);
  });

  test('without a level does not pass, and one bad level fails all', () => {
    expect(summarize(false, new Map()).passed).toBe(false);
    const levels = new Map([
      ['process', [finding('hit')]],
      ['sandbox', [finding('held')]],
    ]);
    expect(summarize(false, levels).passed).toBe(false);
  });
});

describe('a plan', () => {
  const planted = new Proxy(
    { secret: 'abc' },
    { get: (target, key) => (key === 'secret' ? target.secret : `<${String(key)}>`) },
  );
  const argumentsOf = (name: string) => PROBES[name]?.steps(planted as unknown as Planted, {}).flat() ?? [];

  test('never has the secret in the arguments of a command', () => {
    const all = Object.keys(PROBES).flatMap(argumentsOf);
    expect(all.filter((argument) => argument.includes('abc'))).toEqual([]);
    expect(all).toContain('secret:cba');
  });

  test.for([
    ['fork-bomb', { processes: 256 }, '320'],
    ['memory-bomb', { memoryMiB: 100 }, '125'],
    ['fill-folder', { diskMiB: 64 }, '80'],
    ['fill-folder', {}, '256'],
    ['spin', { cpuPercent: 100 }, '100'],
    ['spin', {}, '0'],
  ] as const)('%s with limits %j asks for %s', ([name, limits, amount]) => {
    expect(PROBES[name]?.steps(planted as unknown as Planted, limits)[0]?.[0]).toBe(amount);
  });
});
