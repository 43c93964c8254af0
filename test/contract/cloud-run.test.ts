import { CloudRunConfig, cloudRunFeatures } from '../../shared/providers/cloud-run/config.ts';
import { openCloudRun } from '../support/clouds/cloud-run/open-cloud-run.ts';
import { providerContract } from './provider-contract.ts';

const config = CloudRunConfig.parse({
  project: 'errand-project',
  region: 'europe-west1',
  image: 'runner:1',
  serviceAccount: 'commands@errand-project.iam.gserviceaccount.com',
});

providerContract('cloud-run, on a local Cloud Run', cloudRunFeatures(config), async () => {
  const { provider } = await openCloudRun();
  return provider;
});
