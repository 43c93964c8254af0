/** What the CDK app tells each function. Names and addresses only: never a secret. */
export const ENVIRONMENT = {
  table: 'ERRAND_TABLE',
  bucket: 'ERRAND_BUCKET',
  /** Where checkpoints of audit logs are locked away. */
  checkpoints: 'ERRAND_CHECKPOINTS',
  queueHigh: 'ERRAND_QUEUE_HIGH',
  queueNormal: 'ERRAND_QUEUE_NORMAL',
  queueLow: 'ERRAND_QUEUE_LOW',
  /** The bus of EventBridge that events are put onto. */
  eventBus: 'ERRAND_EVENT_BUS',
  /** JSON as in targets.json. */
  targets: 'ERRAND_TARGETS',
  /** JSON as in access.json; absent where no issuer's tokens are good. */
  issuers: 'ERRAND_ISSUERS',
  /** The secret that holds the owner's key, by its ARN. */
  keySecret: 'ERRAND_KEY_SECRET',
  /** `emf`: ends of commands become metrics of CloudWatch; absent: there are none. */
  metrics: 'ERRAND_METRICS',
  /** The secret from which the key is made that signs the audit log, by its ARN. */
  auditSecret: 'ERRAND_AUDIT_SECRET',
} as const;

/** @throws Error when the function was deployed without it */
export const setting = (name: string): string => {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`The environment lacks ${name}. Deploy again.`);
  return value;
};

/** For signing in elsewhere without keys. Read when it is used: Lambda renews it in the environment. */
export const awsIdentity = (region: string) => ({
  awsRegion: region,
  awsCredentials: async () => {
    const sessionToken = process.env['AWS_SESSION_TOKEN'];
    return {
      accessKeyId: setting('AWS_ACCESS_KEY_ID'),
      secretAccessKey: setting('AWS_SECRET_ACCESS_KEY'),
      ...(sessionToken === undefined ? {} : { sessionToken }),
    };
  },
});
