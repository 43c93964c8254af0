import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { listenLocally } from '../../listen-locally.ts';

interface SecretsManager {
  readonly url: string;
  /** How often a secret was read. */
  reads(): number;
  close(): Promise<void>;
}

/**
 * Secrets Manager's GetSecretValue over its JSON 1.1 protocol
 * (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html).
 */
export const secretsManager = async (secrets: Readonly<Record<string, string>>): Promise<SecretsManager> => {
  let reads = 0;
  const server = createServer(async (request, response) => {
    const answer = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
    if (!request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 ')) {
      return answer(403, { __type: 'MissingAuthenticationTokenException', message: 'Request is missing a signature' });
    }
    if (request.headers['x-amz-target'] !== 'secretsmanager.GetSecretValue') {
      return answer(400, { __type: 'UnknownOperationException' });
    }
    const { SecretId } = JSON.parse(await text(request)) as { SecretId: string };
    const SecretString = secrets[SecretId];
    if (SecretString === undefined) {
      const Message = 'Secrets Manager can’t find the specified secret.';
      return answer(400, { __type: 'ResourceNotFoundException', Message });
    }
    reads++;
    return answer(200, { ARN: SecretId, Name: SecretId, SecretString, VersionStages: ['AWSCURRENT'] });
  });
  return { ...(await listenLocally(server)), reads: () => reads };
};
