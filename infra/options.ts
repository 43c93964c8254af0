import type { App } from 'aws-cdk-lib';

/** What whoever deploys may choose beside stage and targets, with `-c name=value`. */
export interface Options {
  readonly executor: {
    /** With it comes a share of processors: 1,769 MiB are one. */
    readonly memoryMiB: number;
    /** Of its /tmp. */
    readonly storageMiB: number;
  };
  /** The ARN of an SNS topic that is told of alarms. Without one they are only shown. */
  readonly alarmTopic: string | undefined;
}

/** @throws Error in words for a person */
export const readOptions = (app: App): Options => ({
  executor: {
    memoryMiB: readNumber(app, 'executorMemoryMiB', 1_769, 128),
    storageMiB: readNumber(app, 'executorStorageMiB', 512, 512),
  },
  alarmTopic: readTopic(app),
});

const MOST_MIB = 10_240;

const readNumber = (app: App, name: string, byDefault: number, least: number): number => {
  const given: unknown = app.node.tryGetContext(name) ?? byDefault;
  const value = Number(given);
  if (Number.isInteger(value) && value >= least && value <= MOST_MIB) return value;
  throw new Error(`${name} must be a whole number from ${least} to ${MOST_MIB}, not ${JSON.stringify(given)}`);
};

const readTopic = (app: App): string | undefined => {
  const topic: unknown = app.node.tryGetContext('alarmTopic');
  if (topic === undefined) return undefined;
  if (typeof topic === 'string' && /^arn:[^:]+:sns:[^:]+:\d{12}:[^:]+$/.test(topic)) return topic;
  throw new Error(`alarmTopic must be the ARN of an SNS topic, not ${JSON.stringify(topic)}`);
};
