const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

/** Every size and count that a caller can run into, in one place. The contract's schemas and the use cases read it. */
export const LIMITS = {
  /** A JSON body. Larger input belongs in `PUT /v1/commands/{id}/stdin`. */
  bodyBytes: 256 * KiB,
  /** One `PUT …/stdin`. */
  stdinPartBytes: 1 * MiB,
  /** All input of one command. */
  stdinBytes: 4 * GiB,
  argvItems: 1_024,
  /** One argument or script. Linux refuses more than 128 KiB in one argument (MAX_ARG_STRLEN, execve(2)). */
  argumentBytes: 127 * KiB,
  envVariables: 256,
  envNameBytes: 255,
  envValueBytes: 64 * KiB,
  pathBytes: 4_095,
  labels: 32,
  labelKeyCharacters: 63,
  labelValueCharacters: 255,
  timeoutSeconds: 7 * 24 * 3_600,
  queueTtlSeconds: 14 * 24 * 3_600,
  attempts: 10,
  /** Names in one `failover`. */
  failover: 5,
  /** Of one pool. */
  poolTargets: 16,
  waitSeconds: 60,
  listItems: 100,
  idempotencyKeyCharacters: 255,
  idempotencySeconds: 24 * 3_600,
  /** How old a result may be that is given again. */
  cacheSeconds: 30 * 24 * 3_600,
  /** `stdout` and `stderr` as text in a command that is read back, each. */
  recordTextBytes: 64 * KiB,
  /** Output kept of one attempt; more is counted in `droppedBytes` and not kept. */
  outputBytes: 16 * GiB,
  /** Changes between `stdout` and `stderr` within one chunk: each takes some 30 bytes in the store beside the output. */
  outputSegments: 4_096,
  /** One sentence for a person, from a runner or a provider. */
  detailCharacters: 2_000,
  signals: 100,
  /** Rows, and columns, of a terminal. */
  terminalCells: 1_000,
  /** One message to a terminal. */
  terminalMessageBytes: 64 * KiB,
  /** Names of members, keys and tenants, for people. */
  nameCharacters: 255,
  scopeTargets: 100,
  /** Of a tenant's own. */
  roles: 100,
  /** Of one policy. */
  policyRules: 200,
  /** Of one condition of a rule. */
  policyPatterns: 100,
  patternCharacters: 255,
  /** Until an approval is answered, and from then on until it is used. */
  approvalSeconds: 10 * 60,
  /** Of a tenant. */
  secrets: 500,
  /** One value, and all values that one command is given. */
  secretBytes: 64 * KiB,
  /** How long a key may stay good beside the one that replaces it. */
  keyOverlapSeconds: 30 * 24 * 3_600,
  /** The life of a session token. */
  sessionTokenSeconds: 15 * 60,
  /** So long it can be renewed from when it was traded for: no renewal makes this longer. */
  sessionRefreshSeconds: 12 * 3_600,
  /** So long a refresh token that was used is answered once more, as its answer may have been lost; and so long the session token before is good. */
  sessionOverlapSeconds: 30,
  /** Of a tenant. */
  schedules: 200,
  /** What a schedule submits, as JSON: it is written with each firing. */
  scheduleTemplateBytes: 32 * KiB,
  cronCharacters: 255,
  /** Between two firings. Nearer ones would be a loop, and not a schedule. */
  scheduleLeastSeconds: 10,
  /** Between two firings by a rate: a year. */
  scheduleMostSeconds: 366 * 24 * 3_600,
  scheduleJitterSeconds: 3_600,
  /** A firing that is later than this was missed. */
  scheduleLateSeconds: 2 * 60,
  /** Missed firings that are made up for at most. */
  scheduleCatchUp: 100,
  /** What was missed longer ago is not made up for. */
  scheduleCatchUpDays: 31,
  /** Firings of one schedule that wait for a command to end. */
  scheduleWaiting: 100,
  /** Commands of one schedule that are looked at before the next. */
  scheduleOpen: 20,
  /** Firings of one schedule that are shown. */
  scheduleHistory: 20,
  /** Warm shells of a tenant that have not ended. */
  sessions: 20,
  /** Of one server, of all tenants. */
  sessionsOfServer: 64,
  /** Commands that wait for one session's shell. */
  sessionWaiting: 64,
  sessionLifeSeconds: 7 * 24 * 3_600,
  /** An ended session is kept for so long. */
  sessionKeptSeconds: 7 * 24 * 3_600,
  /** Of a tenant. */
  triggers: 100,
  /** What a trigger submits, as JSON, before its values. */
  triggerTemplateBytes: 32 * KiB,
  triggerFilters: 20,
  /** Values or patterns of one condition. */
  triggerFilterValues: 100,
  /** Of a delivery. Senders that are known send less: GitHub cuts what is larger than 25 MB off, and most of its events have some 20 KiB. */
  deliveryBytes: 1 * MiB,
  triggerSecretCharacters: 255,
  /** Until then a delivery that comes again is the same one. */
  deliveryIdentityDays: 90,
  /** So long a delivery is shown. */
  deliveryHistoryDays: 30,
  webhooks: 20,
  /** Patterns of one webhook. */
  webhookEvents: 50,
  webhookUrlCharacters: 2_048,
  /** Events of one webhook that are not delivered; beyond that the next ones wait in the log. */
  webhookOpen: 100,
  /** How long a delivery is kept after it came to its end: one that was delivered, and one that was given up. */
  webhookDeliveredSeconds: 7 * 24 * 3_600,
  webhookDeadSeconds: 30 * 24 * 3_600,
  /** After so long without a success a webhook is disabled. */
  webhookFailingSeconds: 5 * 24 * 3_600,
  /** How long a webhook's old key may go on to sign beside the new one. */
  webhookOverlapSeconds: 7 * 24 * 3_600,
  /** Of one webhook that sign at a time. */
  webhookKeys: 3,
  workflowNodes: 500,
  /** Of one node's `forEach`. */
  workflowItems: 1_000,
  /** Commands of one workflow in all. */
  workflowRuns: 2_000,
  /** Commands of one workflow at once. */
  workflowConcurrency: 500,
  workflowTimeoutSeconds: 30 * 24 * 3_600,
  /** One value that a node is given of another's output, unless it says less. A process takes no larger argument. */
  workflowValueBytes: 64 * KiB,
  /** All that one command is given so: it is stored with it, which has to fit into 400 KB. */
  workflowInputBytes: 192 * KiB,
  /** Of an output that is read as JSON or as a list. */
  workflowJsonBytes: 1 * MiB,
  /** Values that one condition compares with. */
  workflowAlternatives: 100,
} as const;
