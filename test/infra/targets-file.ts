import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const CLOUD_RUN = {
  name: 'cloud-run',
  provider: 'cloud-run',
  config: {
    project: 'a-project',
    region: 'europe-west1',
    image: 'debian:12-slim',
    serviceAccount: 'commands@a-project.iam.gserviceaccount.com',
    runnerBucket: 'a-project-errand-runner',
    workloadIdentity: {
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/errand/providers/aws',
    },
  },
};

export const CONTAINER_INSTANCES = {
  name: 'aci',
  provider: 'azure-container-instances',
  config: {
    subscriptionId: '11111111-1111-1111-1111-111111111111',
    resourceGroup: 'errand',
    location: 'westeurope',
    image: 'errand-base',
    identity: {
      tenantId: '22222222-2222-2222-2222-222222222222',
      clientId: '33333333-3333-3333-3333-333333333333',
    },
  },
};

export const LAMBDA_MICROVM = {
  name: 'microvm',
  provider: 'lambda-microvm',
  config: {
    region: 'eu-west-1',
    image: 'arn:aws:lambda:eu-west-1:123456789012:microvm-image:errand',
    images: { large: { image: 'arn:aws:lambda:eu-west-1:123456789012:microvm-image:errand-large' } },
    executionRole: 'arn:aws:iam::123456789012:role/commands',
  },
};

/** Writes a file for `-c targets=FILE`. */
export const targetsFile = (
  folder: string,
  content: object = { targets: [CLOUD_RUN, CONTAINER_INSTANCES] },
  name = 'targets.json',
): string => {
  const file = join(folder, name);
  writeFileSync(file, JSON.stringify(content));
  return file;
};
