import type * as z from 'zod';
import type { UsageView } from '../contract/usage-schemas.ts';
import type { Actor } from '../domain/actor.ts';
import { isFinal } from '../domain/command.ts';
import type { CommandId, TenantId } from '../domain/ids.ts';
import { amountsOf, dayOf, hasQuotas, NOTHING_USED, type Usage } from '../domain/quotas.ts';
import type { Deps } from './deps.ts';

type Parts = Pick<Deps, 'meter' | 'commands' | 'clock'>;

const DAYS = 30;
/** So many of the newest commands are looked at for a tenant whose use is not counted. */
const MOST_LOOKED_AT = 5_000;
const PAGE = 100;

/** What the caller's tenant uses, and its limits. */
export const readUsage = async (
  { meter, commands, clock }: Parts,
  { tenant, limits }: Actor,
): Promise<z.output<typeof UsageView>> => {
  const { today, past } = await meter.used(tenant, DAYS);
  const { usage, complete } = hasQuotas(limits)
    ? { usage: today, complete: true }
    : await lookUp({ commands, clock }, tenant);
  return {
    tenant,
    ...toView(usage),
    unfinishedCommands: usage.unfinished,
    complete,
    limits: { ...limits },
    days: past.map(toView),
  };
};

const toView = ({ day, commands, cpuMs, outputBytes }: Usage) => ({
  day,
  commands,
  cpuSeconds: cpuMs / 1_000,
  outputBytes,
});

/** From the commands themselves. */
const lookUp = async (
  { commands, clock }: Pick<Deps, 'commands' | 'clock'>,
  tenant: TenantId,
): Promise<{ usage: Usage; complete: boolean }> => {
  const day = dayOf(clock.now());
  let usage: Usage = { ...NOTHING_USED, day, unfinished: 0 };
  let after: CommandId | undefined;
  for (let looked = 0; looked < MOST_LOOKED_AT; looked += PAGE) {
    const page = await commands.list(tenant, {}, { limit: PAGE, after });
    for (const command of page.commands) {
      if (dayOf(command.submittedAt) !== day) return { usage, complete: true };
      const used = amountsOf(command);
      usage = {
        day,
        commands: usage.commands + 1,
        unfinished: usage.unfinished + (isFinal(command.status) ? 0 : 1),
        cpuMs: usage.cpuMs + used.cpuMs,
        outputBytes: usage.outputBytes + used.outputBytes,
      };
    }
    after = page.after;
    if (after === undefined) return { usage, complete: true };
  }
  return { usage, complete: false };
};
