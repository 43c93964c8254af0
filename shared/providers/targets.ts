import * as z from 'zod';
import { LIMITS } from '../domain/limits.ts';
import { POOL_RULES, type Pool } from '../domain/pools.ts';
import { catalogue, type RemoteProviderName } from './catalogue.ts';
import type { ProviderContext } from './context.ts';
import type { SandboxConfig } from './local/sandbox.ts';
import { SandboxConfig as SandboxSchema } from './local/sandbox-config.ts';
import { PRICES_PER_HOUR } from './prices.ts';
import type { Health, Provider, ProviderFeatures } from './provider.ts';
import type { ProviderLoader } from './registry.ts';

/** A target as an installation configures it. `config` is its provider's own. */
export interface TargetConfig {
  readonly name: string;
  readonly provider: RemoteProviderName;
  readonly config: unknown;
  /** What an hour of a command costs there. @default what is known of its provider */
  readonly pricePerHour?: number | undefined;
}

/** The targets elsewhere of an installation. */
export interface TargetsFile {
  /** Marks what this installation makes at providers: no other may have the same there. */
  readonly installation?: string | undefined;
  /** Where runners elsewhere reach the control plane; when absent they are expected on this machine. */
  readonly runnerUrl?: string | undefined;
  /** Of the target on this machine. */
  readonly local?: { readonly sandbox?: SandboxConfig | undefined } | undefined;
  readonly targets: readonly TargetConfig[];
  readonly pools: readonly Pool[];
}

const kinds = Object.keys(catalogue) as [RemoteProviderName, ...RemoteProviderName[]];

const shortName = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be a lower-case name: letters, digits and -');
const money = z.number().min(0);

const PoolSchema = z
  .strictObject({
    name: shortName,
    targets: z
      .tuple([z.string()], z.string())
      .refine((targets) => targets.length <= LIMITS.poolTargets, { error: `must have at most ${LIMITS.poolTargets}` })
      .refine((targets) => new Set(targets).size === targets.length, { error: 'names a target twice' }),
    by: z.enum(POOL_RULES).default('order'),
    weights: z.record(z.string(), z.number().min(0).max(1_000_000)).optional(),
  })
  .superRefine(({ targets, by, weights }, context) => {
    if (!weights) return;
    if (by !== 'weight')
      context.addIssue({ code: 'custom', path: ['weights'], message: 'go with "by": "weight" only' });
    for (const name of Object.keys(weights)) {
      if (targets.includes(name)) continue;
      context.addIssue({ code: 'custom', path: ['weights', name], message: `${name} is not a target of this pool` });
    }
    if (targets.every((name) => weights[name] === 0)) {
      context.addIssue({ code: 'custom', path: ['weights'], message: 'must not all be 0' });
    }
  });

const TargetsFileSchema = z.strictObject({
  installation: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be a short lower-case name: letters, digits and -')
    .optional(),
  runnerUrl: z.url({ protocol: /^https?$/ }).optional(),
  local: z.strictObject({ sandbox: SandboxSchema.optional() }).optional(),
  targets: z
    .array(
      z.strictObject({
        name: shortName.refine((name) => name !== 'local', { error: 'local is the name of this machine' }),
        provider: z.enum(kinds),
        config: z.unknown(),
        pricePerHour: money.optional(),
      }),
    )
    .superRefine((targets, context) => {
      for (const [index, { name, provider, config }] of targets.entries()) {
        if (targets.findIndex((other) => other.name === name) !== index) {
          context.addIssue({ code: 'custom', path: [index, 'name'], message: `two targets are named ${name}` });
        }
        for (const issue of catalogue[provider].config.safeParse(config).error?.issues ?? []) {
          context.addIssue({ code: 'custom', path: [index, 'config', ...issue.path], message: issue.message });
        }
      }
    })
    .default([]),
  pools: z.array(PoolSchema).default([]),
});

/** Names mean one thing each, and pools are of targets that there are. */
const checkPools = ({ targets, pools }: z.output<typeof TargetsFileSchema>, builtIn: readonly string[]) => {
  const known = new Set([...builtIn, ...targets.map(({ name }) => name)]);
  return pools.flatMap(({ name, targets: members }, index) => {
    const fault = (path: readonly (string | number)[], message: string) => ({
      path: ['pools', index, ...path],
      message,
    });
    const isTaken = pools.findIndex((other) => other.name === name) !== index;
    return [
      ...(isTaken ? [fault(['name'], `two pools are named ${name}`)] : []),
      ...(known.has(name) ? [fault(['name'], `${name} is the name of a target`)] : []),
      ...members.flatMap((member, at) => (known.has(member) ? [] : [fault(['targets', at], `no target ${member}`)])),
    ];
  });
};

/**
 * @param builtIn targets that are there without being configured, so that pools may name them
 * @throws Error that names each fault with a JSON pointer
 */
export const parseTargets = (text: string, builtIn: readonly string[] = []): TargetsFile => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error('It is not JSON.', { cause });
  }
  const parsed = TargetsFileSchema.safeParse(value);
  const faults = parsed.success ? checkPools(parsed.data, builtIn) : parsed.error.issues;
  if (parsed.success && faults.length === 0) return parsed.data;
  throw new Error(faults.map(({ path, message }) => `/${path.join('/')}: ${message}`).join('; '));
};

/** A configured target, loaded when it is first used. */
export interface ConfiguredTarget {
  readonly name: string;
  readonly provider: string;
  readonly features: ProviderFeatures;
  readonly pricePerHour: number | undefined;
  load(): Promise<Provider>;
  health(): Promise<Health>;
  /** Lets go of the provider, if it was loaded. */
  close(): Promise<void>;
}

/** `context` is asked for when the provider is loaded. */
export const configureTarget = (
  { name, provider, config, pricePerHour = PRICES_PER_HOUR[provider] }: TargetConfig,
  loadProvider: ProviderLoader,
  context: () => ProviderContext,
): ConfiguredTarget => {
  let loading: Promise<Provider> | undefined;
  const load = (): Promise<Provider> => {
    if (loading) return loading;
    const started = loadProvider(provider, config, context());
    loading = started;
    // What could not be loaded is tried again by the next who needs it.
    started.catch(() => (loading = undefined));
    return started;
  };
  return {
    name,
    provider,
    features: catalogue[provider].features(config),
    pricePerHour,
    load,
    health: async () => (await load()).health(),
    async close() {
      const loaded = await loading?.catch(() => undefined);
      await loaded?.close();
    },
  };
};
