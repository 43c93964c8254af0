import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BatteryReport,
  type Finding,
  judge,
  type ProbeAbout,
  summarize,
  withAftermath,
} from '../../shared/isolation/judge.ts';
import type { Place, PlaceLimits, PlaceRun } from '../../shared/isolation/place.ts';
import { PROBES, type ProbePlan } from '../../shared/isolation/probes.ts';
import { broken, readVerdict, type Verdict } from '../../shared/isolation/verdict.ts';
import { processesNaming, userOfProbe } from './host.ts';
import type { Plants } from './plants.ts';

export interface BatteryOptions {
  /** The probes' program. */
  readonly program: string;
  readonly plants: Plants;
  /** Where nothing is held, so that every probe that can hit does. */
  readonly control: Place;
  readonly places: readonly Place[];
  /** Only these probes. @default all */
  readonly only?: (probe: ProbeAbout) => boolean;
  readonly onProgress?: (level: string, probe: string) => void;
}

/** A probe that has not ended by then is ended. */
const LONGEST_RUN_MS = 90_000;
/** How long a command's processes may take to be gone after its end was told. */
const GONE_WITHIN_MS = 2_000;

/**
 * What a command gets: its program comes as its input, since nothing of the host's need be in sight where it runs. This is
 * also how an attacker would bring it.
 */
const TAKE_AND_RUN =
  'for at in . /tmp; do if [ -w "$at" ]; then cat >"$at/errand-probes" && chmod 700 "$at/errand-probes" && exec "$at/errand-probes" "$@"; fi; done; echo "no folder can be written" >&2; exit 125';

/** Runs every probe without walls and at each place, and judges what that proves. */
export const runBattery = async (options: BatteryOptions): Promise<BatteryReport> => {
  const { program, plants, control, places, only = () => true, onProgress } = options;
  const probes = aboutProbes(program).filter((probe) => probe.name in PROBES && only(probe));
  const stdin = readFileSync(program);
  const controls = new Map<string, Verdict>();
  const levels = new Map<string, Finding[]>();

  const execute = (place: Place, args: readonly string[], stop?: AbortSignal, onOutput?: (text: string) => void) =>
    place.run(['/bin/sh', '-c', TAKE_AND_RUN, 'errand-probes', ...args], {
      stdin,
      stop: AbortSignal.any([AbortSignal.timeout(LONGEST_RUN_MS), ...(stop ? [stop] : [])]),
      ...(onOutput ? { onOutput } : {}),
    });

  const attempt = async (place: Place, name: string, plan: ProbePlan, limits: PlaceLimits): Promise<Verdict> => {
    let verdict = broken('It has no steps.');
    let user: number | undefined;
    const look = () => {
      user = userOfProbe(name, plants.planted.mark) ?? user;
    };
    const watch = plan.isWatched ? look : undefined;
    for (const args of plan.steps(plants.planted, limits)) {
      verdict = readVerdict(await execute(place, ['run', name, ...args], undefined, watch).catch(notRun));
      if (verdict.word !== 'hit') return verdict;
    }
    if (plan.isWatched) return byUser(user);
    const { confirmedBy, file } = plan;
    if (confirmedBy === undefined) return verdict;
    const isTrue = await plants.confirm(confirmedBy, file === undefined ? '' : String(plants.planted[file]));
    return isTrue ? verdict : { word: 'held', detail: `${verdict.detail}, but not on the host` };
  };

  /** The control gets the same arguments, and is not repeated for a level that gives the same. */
  const controlOf = async (name: string, plan: ProbePlan, limits: PlaceLimits): Promise<Verdict> => {
    const key = JSON.stringify([name, plan.isBomb ? limits : {}]);
    const known = controls.get(key);
    if (known) return known;
    onProgress?.(control.level, name);
    const verdict = await attempt(control, name, plan, limits);
    controls.set(key, verdict);
    return verdict;
  };

  const lookAfter = async (place: Place, verdict: Verdict): Promise<Verdict> => {
    let left = processesNaming(plants.planted.mark).length;
    for (let waited = 0; left > 0 && waited < GONE_WITHIN_MS; waited += 20) {
      await sleep(20);
      left = processesNaming(plants.planted.mark).length;
    }
    const begun = performance.now();
    const next = readVerdict(await execute(place, ['run', 'nothing']).catch(notRun));
    const nextMs = performance.now() - begun;
    const isHealthy = next.word === 'hit' && (await place.isHealthy());
    return withAftermath(verdict, { isHealthy, nextMs, leftovers: left });
  };

  /** Begins a command that stays, and resolves once it runs. */
  const withNeighbour = async <T>(place: Place, run: () => Promise<T>): Promise<T> => {
    const leave = new AbortController();
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const { mark, neighbourPort } = plants.planted;
    let output = '';
    const neighbour = execute(place, ['neighbour', mark, '60', String(neighbourPort)], leave.signal, (text) => {
      output += text;
      if (output.includes('begins neighbour')) resolve();
    }).catch(notRun);
    try {
      await Promise.race([begun, neighbour]);
      return await run();
    } finally {
      leave.abort();
      await neighbour;
    }
  };

  /** Those with a neighbour come last, and share it. */
  const attemptAll = async (
    place: Place,
    attemptOne: (probe: ProbeAbout, plan: ProbePlan) => Promise<void>,
  ): Promise<void> => {
    const planned = probes.flatMap((probe) =>
      PROBES[probe.name] ? [{ probe, plan: PROBES[probe.name] as ProbePlan }] : [],
    );
    for (const { probe, plan } of planned) if (!plan.hasNeighbour) await attemptOne(probe, plan);
    const social = planned.filter(({ plan }) => plan.hasNeighbour);
    if (social.length === 0) return;
    await withNeighbour(place, async () => {
      for (const { probe, plan } of social) await attemptOne(probe, plan);
    });
  };

  for (const place of places) {
    await attemptAll(control, async ({ name }, plan) => void (await controlOf(name, plan, place.limits)));
    const found = new Map<string, Finding>();
    await attemptAll(place, async (probe, plan) => {
      onProgress?.(place.level, probe.name);
      const tried = await attempt(place, probe.name, plan, place.limits);
      const inside = plan.isBomb ? await lookAfter(place, tried) : tried;
      const { level, ownUsers } = place;
      const verdicts = { control: await controlOf(probe.name, plan, place.limits), inside };
      found.set(probe.name, judge({ probe, atProcess: plan.atProcess, level, ownUsers, ...verdicts }));
    });
    levels.set(
      place.level,
      probes.flatMap(({ name }) => found.get(name) ?? []),
    );
  }
  return summarize(process.getuid?.() === 0, levels);
};

const byUser = (user: number | undefined): Verdict => {
  if (user === undefined) return { word: 'absent', detail: 'it was not seen from outside' };
  return { word: user === 0 ? 'hit' : 'held', detail: `it is user ${user} on the host` };
};

/** What the program says of its probes. */
export const aboutProbes = (program: string): ProbeAbout[] =>
  execFileSync(program, ['list'], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ProbeAbout);

const notRun = (error: Error): PlaceRun => ({ exitCode: null, signal: null, stdout: '', detail: error.message });
