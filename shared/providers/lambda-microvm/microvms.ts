import type { RunMicrovmCommandInput } from '@aws-sdk/client-lambda-microvms';
import type { ProviderContext } from '../context.ts';
import type { Run } from '../provider.ts';
import { type LambdaMicrovmConfig, LIFE_MARGIN_SECONDS, LONGEST_LIFE_SECONDS } from './config.ts';
import { MOST_PAYLOAD_CHARACTERS, type RunPayload } from './run-payload.ts';

/** @returns what is wrong, for a person, when there is no such machine */
export const toRequest = (
  config: LambdaMicrovmConfig,
  { installation, runnerUrl }: ProviderContext,
  run: Run,
): RunMicrovmCommandInput | { readonly fault: string } => {
  const { image, imageVersion } = run.image === undefined ? config : (config.images?.[run.image] ?? {});
  if (image === undefined) return { fault: `The target maps no image ${run.image}. ${namesOf(config)}` };
  const longest = LONGEST_LIFE_SECONDS - LIFE_MARGIN_SECONDS;
  if (run.timeoutSeconds > longest) {
    return { fault: `A command may run ${longest} s at most on this target, not ${run.timeoutSeconds} s.` };
  }
  const payload = JSON.stringify({ v: 1, url: runnerUrl, token: run.token } satisfies RunPayload);
  if (payload.length > MOST_PAYLOAD_CHARACTERS) return { fault: 'The runnerUrl is too long for a MicroVM to be told.' };
  return {
    imageIdentifier: image,
    ...(imageVersion === undefined ? {} : { imageVersion }),
    // The attempt's own, so that a second start is the first; readable, so that CloudTrail tells whose it is.
    clientToken: `${installation}/${run.key}`,
    runHookPayload: payload,
    maximumDurationInSeconds: run.timeoutSeconds + LIFE_MARGIN_SECONDS,
    // No idle policy: it looks at what comes in, which is nothing, and would suspend a command that is busy.
    // Without a word Lambda takes requests from outside; the keeper listens to Lambda alone.
    ingressNetworkConnectors: [noIngressOf(image)],
    ...(config.egressConnector === undefined ? {} : { egressNetworkConnectors: [config.egressConnector] }),
    ...(config.executionRole === undefined ? {} : { executionRoleArn: config.executionRole }),
    logging: config.logGroup === undefined ? { disabled: {} } : { cloudWatch: { logGroup: config.logGroup } },
  };
};

/** Lambda's own connector that lets nothing in, in the image's partition and region. */
const noIngressOf = (image: string): string => {
  const [, partition = 'aws', , region = ''] = image.split(':');
  return `arn:${partition}:lambda:${region}:aws:network-connector:aws-network-connector:NO_INGRESS`;
};

const namesOf = ({ images = {} }: LambdaMicrovmConfig): string =>
  Object.keys(images).length === 0 ? 'It maps none.' : `It maps ${Object.keys(images).join(', ')}.`;
