import { readFileSync } from 'node:fs';
import type { App } from 'aws-cdk-lib';
import { parseIssuers } from '../shared/access/access-tokens.ts';

/** What whoever deploys may choose beside stage and targets, with `-c name=value`. */
export interface Options {
  readonly executor: {
    /** With it comes a share of processors: 1,769 MiB are one. */
    readonly memoryMiB: number;
    /** Of its /tmp. */
    readonly storageMiB: number;
  };
  /** Of each route of the API, for all callers together. Twice as many may come at once, and a tenth where things other than commands are changed. */
  readonly apiRequestsPerSecond: number;
  /** So many invocations at once are kept for a function, and it has no more. Undefined: it shares the account's with all others. */
  readonly reserved: Readonly<Record<'output' | 'runner' | 'sweep', number | undefined>>;
  /** The ARN of an SNS topic that is told of alarms. Without one they are only shown. */
  readonly alarmTopic: string | undefined;
  readonly telemetry: {
    /** A collector that takes OTLP over HTTP and asks for no secret: a function's environment is no place for one. Undefined: nothing is traced. */
    readonly otlpEndpoint: string | undefined;
    /** Whether ends of commands become metrics of CloudWatch, at its price. */
    readonly emf: boolean;
  };
  /** JSON as in access.json: whose access tokens are good. Without it none is. */
  readonly issuers: string | undefined;
  /** A table that was restored, to be used in the place of the stack's own. */
  readonly restoredTable: string | undefined;
}

/** @throws Error in words for a person */
export const readOptions = (app: App): Options => ({
  executor: {
    memoryMiB: readNumber(app, 'executorMemoryMiB', 1_769, { least: 128, most: MOST_MIB }),
    storageMiB: readNumber(app, 'executorStorageMiB', 512, { least: 512, most: MOST_MIB }),
  },
  apiRequestsPerSecond: readNumber(app, 'apiRequestsPerSecond', 500, { least: 10, most: 10_000 }),
  reserved: {
    output: readReserved(app, 'outputConcurrency'),
    runner: readReserved(app, 'runnerConcurrency'),
    sweep: readReserved(app, 'sweepConcurrency'),
  },
  alarmTopic: readTopic(app),
  telemetry: { otlpEndpoint: readEndpoint(app), emf: readMetrics(app) },
  issuers: readIssuers(app),
  restoredTable: readRestoredTable(app),
});

const MOST_MIB = 10_240;

interface Bounds {
  readonly least: number;
  readonly most: number;
}

const readNumber = (app: App, name: string, byDefault: number, { least, most }: Bounds): number => {
  const given: unknown = app.node.tryGetContext(name) ?? byDefault;
  const value = Number(given);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new Error(`${name} must be a whole number from ${least} to ${most}, not ${JSON.stringify(given)}`);
};

const readReserved = (app: App, name: string): number | undefined =>
  app.node.tryGetContext(name) === undefined ? undefined : readNumber(app, name, 1, { least: 1, most: 10_000 });

const readTopic = (app: App): string | undefined => {
  const topic: unknown = app.node.tryGetContext('alarmTopic');
  if (topic === undefined) return undefined;
  if (typeof topic === 'string' && /^arn:[^:]+:sns:[^:]+:\d{12}:[^:]+$/.test(topic)) return topic;
  throw new Error(`alarmTopic must be the ARN of an SNS topic, not ${JSON.stringify(topic)}`);
};

const readEndpoint = (app: App): string | undefined => {
  const endpoint: unknown = app.node.tryGetContext('otlpEndpoint');
  if (endpoint === undefined) return undefined;
  const url = typeof endpoint === 'string' ? URL.parse(endpoint) : null;
  if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url.href;
  throw new Error('otlpEndpoint must be a URL such as https://collector.example.com:4318, without a password');
};

const readMetrics = (app: App): boolean => {
  const metrics: unknown = app.node.tryGetContext('metrics');
  if (metrics === undefined || metrics === 'emf') return metrics === 'emf';
  throw new Error(`metrics must be emf, not ${JSON.stringify(metrics)}`);
};

const readRestoredTable = (app: App): string | undefined => {
  const table: unknown = app.node.tryGetContext('restoredTable');
  if (table === undefined) return undefined;
  if (typeof table === 'string' && /^[A-Za-z0-9_.-]{3,255}$/.test(table)) return table;
  throw new Error(`restoredTable must be the name of a table, not ${JSON.stringify(table)}`);
};

/** It has to fit into the 4 KB of a function's environment, with the targets. */
const MOST_CHARACTERS = 800;

const readIssuers = (app: App): string | undefined => {
  const file: unknown = app.node.tryGetContext('access');
  if (typeof file !== 'string') return undefined;
  try {
    const text = readFileSync(file, 'utf8');
    parseIssuers(text);
    const issuers = JSON.stringify(JSON.parse(text));
    if (issuers.length <= MOST_CHARACTERS) return issuers;
    throw new Error(`/issuers: more than ${MOST_CHARACTERS} characters do not fit into a function's environment`);
  } catch (error) {
    throw new Error(`The issuers of ${file}: ${(error as Error).message}`, { cause: error });
  }
};
