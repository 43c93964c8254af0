import {
  ContainerInstancesConfig,
  containerInstancesFeatures,
} from '../../shared/providers/azure-container-instances/config.ts';
import {
  CONFIG,
  openContainerInstances,
} from '../support/clouds/azure-container-instances/open-container-instances.ts';
import { providerContract } from './provider-contract.ts';

const features = containerInstancesFeatures(ContainerInstancesConfig.parse(CONFIG));

providerContract('azure-container-instances, on local Container Instances', features, async () => {
  const { provider } = await openContainerInstances();
  return provider;
});
