import type { Clock, Random } from '../domain/clock.ts';
import type { Log } from '../telemetry/log.ts';

/** What every provider elsewhere is given beside its own configuration. */
export interface ProviderContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** A short name, `[a-z0-9-]{1,32}`: whatever a provider makes carries it, and only what carries it is ever touched. */
  readonly installation: string;
  /** Where runners reach the control plane. */
  readonly runnerUrl: string;
  /**
   * Tells the runs of this store from those of another with the same installation name, such as that of another folder on
   * the same machine. Absent where a store has its installation's name to itself.
   */
  readonly storeId?: string;
  /** Whether a worker, by the name that is in its attempts, is alive. Absent where nobody can know. */
  readonly isWorkerAlive?: (worker: string) => Promise<boolean>;
  /** Where this machine's Docker daemon listens, when it is told. */
  readonly dockerSocketPath?: string;
  /** Who this process is in AWS, when it runs there: what it signs in elsewhere with. Asked for anew before each use. */
  readonly awsCredentials?: () => Promise<AwsCredentials>;
  readonly awsRegion?: string;
}

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}
