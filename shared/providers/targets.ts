import * as z from 'zod';
import { catalogue, type RemoteProviderName } from './catalogue.ts';
import type { ProviderContext } from './context.ts';
import type { SandboxConfig } from './local/sandbox.ts';
import { SandboxConfig as SandboxSchema } from './local/sandbox-config.ts';
import type { Health, Provider, ProviderFeatures } from './provider.ts';
import type { ProviderLoader } from './registry.ts';

/** A target as an installation configures it. `config` is its provider's own. */
export interface TargetConfig {
  readonly name: string;
  readonly provider: RemoteProviderName;
  readonly config: unknown;
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
}

const kinds = Object.keys(catalogue) as [RemoteProviderName, ...RemoteProviderName[]];

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
        name: z
          .string()
          .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be a lower-case name: letters, digits and -')
          .refine((name) => name !== 'local', { error: 'local is the name of this machine' }),
        provider: z.enum(kinds),
        config: z.unknown(),
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
});

/** @throws Error that names each fault with a JSON pointer */
export const parseTargets = (text: string): TargetsFile => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error('It is not JSON.', { cause });
  }
  const parsed = TargetsFileSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Error(parsed.error.issues.map(({ path, message }) => `/${path.join('/')}: ${message}`).join('; '));
};

/** A configured target, loaded when it is first used. */
export interface ConfiguredTarget {
  readonly name: string;
  readonly provider: string;
  readonly features: ProviderFeatures;
  load(): Promise<Provider>;
  health(): Promise<Health>;
  /** Lets go of the provider, if it was loaded. */
  close(): Promise<void>;
}

/** `context` is asked for when the provider is loaded. */
export const configureTarget = (
  { name, provider, config }: TargetConfig,
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
    load,
    health: async () => (await load()).health(),
    async close() {
      const loaded = await loading?.catch(() => undefined);
      await loaded?.close();
    },
  };
};
