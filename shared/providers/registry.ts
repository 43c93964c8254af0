import { catalogue, type RemoteProviderName } from './catalogue.ts';
import type { ProviderContext } from './context.ts';
import type { Provider } from './provider.ts';

/** Execution on this machine. Loaded when it is first used, as every provider is: a process pays only for those that it needs. */
export const providers = {
  local: async (options: import('./local/local.ts').LocalOptions) => (await import('./local/local.ts')).local(options),
} as const;

/** Loads a provider elsewhere with a config that its schema takes. */
export type ProviderLoader = (name: RemoteProviderName, config: unknown, context: ProviderContext) => Promise<Provider>;

const loaders = {
  lambda: async (config: import('./lambda/config.ts').LambdaConfig, context: ProviderContext) =>
    (await import('./lambda/lambda.ts')).lambda(config, context),
  'lambda-microvm': async (
    config: import('./lambda-microvm/config.ts').LambdaMicrovmConfig,
    context: ProviderContext,
  ) => (await import('./lambda-microvm/lambda-microvm.ts')).lambdaMicrovm(config, context),
  'cloud-run': async (config: import('./cloud-run/config.ts').CloudRunConfig, context: ProviderContext) =>
    (await import('./cloud-run/cloud-run.ts')).cloudRun(config, context),
  'azure-container-instances': async (
    config: import('./azure-container-instances/config.ts').ContainerInstancesConfig,
    context: ProviderContext,
  ) =>
    (await import('./azure-container-instances/azure-container-instances.ts')).azureContainerInstances(config, context),
  docker: async (config: import('./docker/config.ts').DockerConfig, context: ProviderContext) =>
    (await import('./docker/docker.ts')).docker(config, context),
} satisfies Record<RemoteProviderName, (config: never, context: ProviderContext) => Promise<Provider>>;

export const loadProvider: ProviderLoader = async (name, config, context) => {
  const load = loaders[name] as (config: unknown, context: ProviderContext) => Promise<Provider>;
  return load(catalogue[name].config.parse(config), context);
};
