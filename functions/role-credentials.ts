import { fromEnv } from '@aws-sdk/credential-provider-env';

/**
 * Takes the place of the AWS SDK's default chain in the bundles (infra/bundle.ts): Lambda gives a function its role's
 * credentials in the environment, and the other ways to find some, with clients of their own, would only be loaded.
 */
export const defaultProvider = fromEnv;
