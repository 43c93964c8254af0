import type * as z from 'zod';
import { ContainerInstancesConfig, containerInstancesFeatures } from './azure-container-instances/config.ts';
import { CloudRunConfig, cloudRunFeatures } from './cloud-run/config.ts';
import { DockerConfig, dockerFeatures } from './docker/config.ts';
import { LambdaConfig, lambdaFeatures } from './lambda/config.ts';
import { LambdaMicrovmConfig, lambdaMicrovmFeatures } from './lambda-microvm/config.ts';
import type { ProviderFeatures } from './provider.ts';

/** What is known of a provider elsewhere without its SDK. */
interface CatalogueEntry {
  /** What a target of this provider is configured with. */
  readonly config: z.ZodType;
  /** Of a config that `config` takes. */
  features(config: unknown): ProviderFeatures;
}

const entry = <C>(config: z.ZodType<C>, features: (config: C) => ProviderFeatures): CatalogueEntry => ({
  config,
  features: (value) => features(config.parse(value)),
});

/** Every provider elsewhere, a line each; registry.ts has the line that loads it. */
export const catalogue = {
  lambda: entry(LambdaConfig, lambdaFeatures),
  'lambda-microvm': entry(LambdaMicrovmConfig, lambdaMicrovmFeatures),
  'cloud-run': entry(CloudRunConfig, cloudRunFeatures),
  'azure-container-instances': entry(ContainerInstancesConfig, containerInstancesFeatures),
  docker: entry(DockerConfig, dockerFeatures),
} satisfies Record<string, CatalogueEntry>;

export type RemoteProviderName = keyof typeof catalogue;
