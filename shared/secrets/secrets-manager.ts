import {
  CreateSecretCommand,
  DeleteSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
  type SecretsManagerClientConfig,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import { guarded, guardedFor, type SecretPlace, type Vault } from './vault.ts';

export interface SecretsManagerOptions {
  readonly client: SecretsManagerClient;
  /** Marks what belongs to this installation among the account's secrets. */
  readonly installation: string;
}

export const secretsManagerClient = (config: SecretsManagerClientConfig): SecretsManagerClient =>
  new SecretsManagerClient({ maxAttempts: 3, ...config });

/**
 * AWS Secrets Manager: `errand/<installation>/<tenant>/<name>`, a version for each value by its own id
 * (https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html).
 */
export const secretsManager = ({ client, installation }: SecretsManagerOptions): Vault => {
  const idOf = ({ tenant, name }: Omit<SecretPlace, 'value'>): string => `errand/${installation}/${tenant}/${name}`;

  const putVersion = async (place: SecretPlace, bytes: Uint8Array): Promise<boolean> => {
    const version = { ClientRequestToken: place.value, SecretBinary: bytes };
    const VersionStages = ['AWSCURRENT', labelOf(place)];
    try {
      await client.send(new PutSecretValueCommand({ SecretId: idOf(place), VersionStages, ...version }));
      return true;
    } catch (error) {
      if (nameOf(error) === 'ResourceNotFoundException') return false;
      throw error;
    }
  };

  const create = async (place: SecretPlace, bytes: Uint8Array): Promise<boolean> => {
    const version = { ClientRequestToken: place.value, SecretBinary: bytes };
    try {
      await client.send(new CreateSecretCommand({ Name: idOf(place), ...version }));
      const label = { VersionStage: labelOf(place), MoveToVersionId: place.value };
      await client.send(new UpdateSecretVersionStageCommand({ SecretId: idOf(place), ...label }));
      return true;
    } catch (error) {
      if (nameOf(error) === 'ResourceExistsException') return false;
      throw error;
    }
  };

  const destroy = async (SecretId: string): Promise<void> => {
    try {
      await client.send(new DeleteSecretCommand({ SecretId, ForceDeleteWithoutRecovery: true }));
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  };

  return {
    put: (place, bytes) =>
      guarded(place, async () => {
        if (await putVersion(place, bytes)) return;
        // Made meanwhile by somebody else, it takes a version.
        if ((await create(place, bytes)) || (await putVersion(place, bytes))) return;
        throw new Error('The secret is neither there nor to be made.');
      }),

    get: (place) =>
      guarded(place, async () => {
        try {
          const command = new GetSecretValueCommand({ SecretId: idOf(place), VersionId: place.value });
          return (await client.send(command)).SecretBinary;
        } catch (error) {
          if (isGone(error)) return undefined;
          throw error;
        }
      }),

    // The one before the present keeps AWSPREVIOUS until it is replaced; what has no label AWS deletes by itself.
    drop: (place) =>
      guarded(place, async () => {
        const label = { VersionStage: labelOf(place), RemoveFromVersionId: place.value };
        try {
          await client.send(new UpdateSecretVersionStageCommand({ SecretId: idOf(place), ...label }));
        } catch (error) {
          if (!isGone(error)) throw error;
        }
      }),

    remove: (secret) => guarded(secret, () => destroy(idOf(secret))),

    // What was made within the last five minutes may not be listed yet (API_ListSecrets): callers wait that long.
    removeAll: (tenant) =>
      guardedFor(`the secrets of ${tenant}`, async () => {
        const prefix = idOf({ tenant, name: '' });
        const names: string[] = [];
        let NextToken: string | undefined;
        do {
          const Filters = [{ Key: 'name' as const, Values: [prefix] }];
          const page = await client.send(new ListSecretsCommand({ Filters, MaxResults: 100, NextToken }));
          names.push(...(page.SecretList ?? []).map(({ Name = '' }) => Name));
          NextToken = page.NextToken;
        } while (NextToken !== undefined);
        for (const name of names) if (name.startsWith(prefix)) await destroy(name);
      }),
  };
};

/** Keeps a version for as long as it is the one that the store names, whichever AWS takes for the current one. */
const labelOf = ({ value }: SecretPlace): string => `errand-${value}`;

const nameOf = (error: unknown): string => (error as Error).name;

/** Also while a forced deletion takes its time; and a label that is at no such version (any more). */
const isGone = (error: unknown): boolean =>
  nameOf(error) === 'ResourceNotFoundException' ||
  nameOf(error) === 'InvalidParameterException' ||
  (nameOf(error) === 'InvalidRequestException' && /delet/i.test((error as Error).message));
