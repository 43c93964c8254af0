import type { CloudFormationCustomResourceEvent, CloudFormationCustomResourceResponse, Context } from 'aws-lambda';
import { prepareTarget, removeTarget } from '../../shared/app/prepare-target.ts';
import type { Clock } from '../../shared/domain/clock.ts';
import type { PreparationParts } from '../../shared/providers/provider.ts';
import { type ConfiguredTarget, parseTargets, type TargetConfig } from '../../shared/providers/targets.ts';
import type { Log } from '../../shared/telemetry/log.ts';

export interface PrepareTargetsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly fetch: typeof fetch;
  readonly open: (config: TargetConfig, installation: string) => ConfiguredTarget;
  /** The runner of this release. */
  readonly readRunner: () => PreparationParts['runner'];
}

/** What brings by hand what is missing, by provider. */
const BOOTSTRAP: Readonly<Record<string, string>> = {
  'cloud-run': 'infra/bootstrap/gcp.sh',
  'azure-container-instances': 'infra/bootstrap/azure.sh',
};
/** Left for the answer, whatever else takes its time. */
const RESERVE_MS = 20_000;
const MOST_REASON_CHARACTERS = 1_000;
const ANSWER_TRIES = 3;

/**
 * The custom resource TargetElsewhere: makes the targets of one place ready when it is created or changed, and removes what
 * is theirs there when it is deleted. A failure says what is missing and what brings it; a deletion never fails, since a
 * stack that cannot be deleted helps nobody, and says in its reason what is left.
 */
export const prepareTargets =
  (options: PrepareTargetsOptions) =>
  async (
    event: CloudFormationCustomResourceEvent,
    context: Pick<Context, 'getRemainingTimeInMillis'>,
  ): Promise<void> => {
    const { clock, log } = options;
    const forMs = Math.max(0, context.getRemainingTimeInMillis() - RESERVE_MS);
    const over = new AbortController();
    const late = clock.sleep(forMs, over.signal).then(() => 'It took longer than a function may. Deploy again.');
    const work = event.RequestType === 'Delete' ? remove(options, event, forMs) : prepare(options, event);
    const fault = await Promise.race([work, late]).finally(() => over.abort());
    if (fault !== undefined) log.error('Targets elsewhere', { request: event.RequestType, fault });
    const failed = fault !== undefined && event.RequestType !== 'Delete';
    await answer(options, event, failed ? 'FAILED' : 'SUCCESS', fault ?? 'Done.');
  };

/** @returns what is wrong, for a person */
const prepare = async (
  { open, readRunner, ...deps }: PrepareTargetsOptions,
  event: CloudFormationCustomResourceEvent,
): Promise<string | undefined> => {
  try {
    const { installation, targets } = propertiesOf(event);
    const parts = { runner: readRunner() };
    for (const config of targets) {
      const target = open(config, installation);
      try {
        await prepareTarget(deps, target, parts);
      } catch (error) {
        return `${(error as Error).message} Run ${BOOTSTRAP[config.provider]}, then deploy again.`;
      } finally {
        await target.close();
      }
    }
    return undefined;
  } catch (error) {
    return `The targets cannot be read: ${(error as Error).message}`;
  }
};

/** @returns what is left */
const remove = async (
  { open, ...deps }: PrepareTargetsOptions,
  event: CloudFormationCustomResourceEvent,
  forMs: number,
): Promise<string | undefined> => {
  try {
    const { installation, targets } = propertiesOf(event);
    // All of them are in one place, so what one removes is the others' too.
    const [config] = targets;
    if (!config) return undefined;
    const target = open(config, installation);
    const left = await removeTarget(deps, target, forMs - RESERVE_MS);
    await target.close();
    return left;
  } catch (error) {
    // Written by another release, perhaps.
    return `Nothing was removed, since the targets cannot be read: ${(error as Error).message}`;
  }
};

const propertiesOf = ({ ResourceProperties }: CloudFormationCustomResourceEvent) => {
  const { Installation: installation, Targets } = ResourceProperties as unknown as Record<string, string>;
  if (!installation || !Targets) throw new Error('Installation and Targets are missing.');
  return { installation, targets: parseTargets(JSON.stringify({ targets: JSON.parse(Targets) })).targets };
};

const answer = async (
  { fetch, clock, log }: PrepareTargetsOptions,
  event: CloudFormationCustomResourceEvent,
  Status: 'SUCCESS' | 'FAILED',
  reason: string,
): Promise<void> => {
  const { StackId, RequestId, LogicalResourceId, ResponseURL, ResourceProperties } = event;
  const { Installation, Place } = ResourceProperties as unknown as Record<string, string>;
  const body: CloudFormationCustomResourceResponse = {
    Status,
    Reason: reason.slice(0, MOST_REASON_CHARACTERS),
    // Of another place CloudFormation takes it for another resource, and has the old one deleted.
    PhysicalResourceId:
      'PhysicalResourceId' in event && event.RequestType === 'Delete'
        ? event.PhysicalResourceId
        : `${Installation}/${Place}`,
    StackId,
    RequestId,
    LogicalResourceId,
  };
  for (let tries = 1; ; tries++) {
    try {
      // CloudFormation signed the address for a body without a type.
      const { status } = await fetch(ResponseURL, {
        method: 'PUT',
        body: JSON.stringify(body),
        headers: { 'content-type': '' },
        signal: AbortSignal.timeout(5_000),
      });
      if (status < 300) return;
      throw new Error(`status ${status}`);
    } catch (error) {
      log.error('CloudFormation could not be answered', { error });
      if (tries === ANSWER_TRIES) throw error;
      await clock.sleep(500 * tries);
    }
  }
};
