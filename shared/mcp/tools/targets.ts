import * as z from 'zod';
import { listTargets } from '../../app/list-targets.ts';
import { PolicyExplanation } from '../../contract/policy-schemas.ts';
import { TargetList } from '../../contract/schemas.ts';
import { toSafe } from '../safe-text.ts';
import { READS, tool } from '../tool.ts';
import { Submission } from './commands.ts';

const { target, provider, healthy, detail, features } = TargetList.shape.items.element.shape;
const { startSeconds, liveOutput, stdin, customImage, resourceLimits, isolation, longestTimeoutSeconds } =
  features.shape;

export const listTargetsTool = tool({
  name: 'list_targets',
  title: 'List targets',
  description: 'Lists where commands can run, what can be asked for there, and whether it is healthy.',
  endpoint: 'listProviders',
  annotations: READS,
  input: z.strictObject({}),
  output: z.object({
    items: z.array(
      z.object({
        target,
        provider,
        healthy,
        detail,
        startSeconds,
        liveOutput,
        stdin,
        customImage,
        resourceLimits,
        isolation,
        longestTimeoutSeconds,
      }),
    ),
  }),
  async call(deps, { actor }) {
    const { items } = await listTargets(deps, actor);
    const shown = items.map(({ features: own, ...about }) => ({
      target: about.target,
      provider: about.provider,
      healthy: about.healthy,
      ...(about.detail === undefined ? {} : { detail: about.detail }),
      startSeconds: own.startSeconds,
      liveOutput: own.liveOutput,
      stdin: own.stdin,
      customImage: own.customImage,
      resourceLimits: own.resourceLimits,
      isolation: own.isolation,
      longestTimeoutSeconds: own.longestTimeoutSeconds,
    }));
    const data = toSafe({ items: shown });
    return { data, text: JSON.stringify(data) };
  },
});

export const explainPolicyTool = tool({
  name: 'explain_policy',
  title: 'Explain the policy',
  description: 'Says what the policy makes of a command, by which rule and why. Nothing is submitted.',
  endpoint: 'explainPolicy',
  annotations: READS,
  input: Submission.describe('The command.'),
  output: PolicyExplanation.describe('The decision.'),
  async call(deps, { actor }, command) {
    // The reader of scripts is large.
    const { explainPolicy } = await import('../../app/policies.ts');
    const data = toSafe(await explainPolicy(deps, actor, { command }));
    return { data, text: `${data.effect}: ${data.because}` };
  },
});
