import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { listenLocally } from '../../listen-locally.ts';

interface SecretsManager {
  readonly url: string;
  /** How often a secret was read. */
  reads(): number;
  /** The names of all secrets that are there. */
  names(): readonly string[];
  /** From now on every request is answered with 500. */
  fail(isFailing: boolean): void;
  close(): Promise<void>;
}

interface Value {
  readonly SecretString?: string;
  readonly SecretBinary?: string;
}

/** What a version may be labelled; an older one has no label, and AWS may drop it at any time. */
interface Kept {
  readonly versions: Map<string, Value>;
  readonly labels: Map<string, string>;
  current: string;
  previous?: string;
}

interface Asked extends Value {
  readonly SecretId?: string;
  readonly Name?: string;
  readonly VersionId?: string;
  readonly ClientRequestToken?: string;
  readonly VersionStages?: readonly string[];
  readonly VersionStage?: string;
  readonly MoveToVersionId?: string;
  readonly RemoveFromVersionId?: string;
  readonly ForceDeleteWithoutRecovery?: boolean;
  readonly Filters?: readonly { readonly Key: string; readonly Values: readonly string[] }[];
  readonly MaxResults?: number;
  readonly NextToken?: string;
}

class Refusal extends Error {
  readonly type: string;
  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

/** https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html#API_CreateSecret_RequestSyntax */
const NAME = /^[A-Za-z0-9/_+=.@-]{1,512}$/;
const MOST_BYTES = 65_536;
/** Fewer than AWS's 100, so that tests come to a second page. */
const MOST_LISTED = 3;

/**
 * Secrets Manager over its JSON 1.1 protocol, as far as Errand uses it
 * (https://docs.aws.amazon.com/secretsmanager/latest/apireference/Welcome.html). It keeps to the rules of versions: a token
 * names one value for ever, and only the present version and the one before it are sure to be kept.
 */
export const secretsManager = async (given: Readonly<Record<string, string>> = {}): Promise<SecretsManager> => {
  let reads = 0;
  let isFailing = false;
  const secrets = new Map<string, Kept>(
    Object.entries(given).map(([name, SecretString]) => [
      name,
      { versions: new Map([['given', { SecretString }]]), labels: new Map(), current: 'given' },
    ]),
  );

  const kept = ({ SecretId = '' }: Asked): Kept => {
    const found = secrets.get(SecretId);
    if (!found) throw new Refusal('ResourceNotFoundException', 'Secrets Manager can’t find the specified secret.');
    return found;
  };
  /** At once, though AWS takes its time: nobody may count on what has no label. */
  const forget = ({ versions, labels, current, previous }: Kept): void => {
    const named = new Set([current, previous, ...labels.values()]);
    for (const one of versions.keys()) if (!named.has(one)) versions.delete(one);
  };
  const toVersion = ({ SecretString, SecretBinary, ClientRequestToken = '' }: Asked): [string, Value] => {
    if (ClientRequestToken.length < 32 || ClientRequestToken.length > 64) {
      throw new Refusal('InvalidParameterException', 'ClientRequestToken must be 32-64 characters long.');
    }
    const bytes = SecretBinary === undefined ? (SecretString?.length ?? 0) : Buffer.from(SecretBinary, 'base64').length;
    if (bytes < 1 || bytes > MOST_BYTES) throw new Refusal('InvalidParameterException', 'The value is too long.');
    return [ClientRequestToken, SecretBinary === undefined ? { SecretString: SecretString ?? '' } : { SecretBinary }];
  };

  const operations: Readonly<Record<string, (asked: Asked) => object>> = {
    GetSecretValue(asked) {
      const { versions, current } = kept(asked);
      const value = versions.get(asked.VersionId ?? current);
      if (!value) throw new Refusal('ResourceNotFoundException', 'Secrets Manager can’t find the specified version.');
      reads++;
      return { ARN: asked.SecretId, Name: asked.SecretId, VersionId: asked.VersionId ?? current, ...value };
    },
    CreateSecret(asked) {
      const { Name = '' } = asked;
      if (!NAME.test(Name)) throw new Refusal('InvalidParameterException', `Not a name: ${Name}`);
      if (secrets.has(Name)) throw new Refusal('ResourceExistsException', `A secret ${Name} already exists.`);
      const [version, value] = toVersion(asked);
      secrets.set(Name, { versions: new Map([[version, value]]), labels: new Map(), current: version });
      return { ARN: Name, Name, VersionId: version };
    },
    PutSecretValue(asked) {
      const secret = kept(asked);
      const [version, value] = toVersion(asked);
      const same = secret.versions.get(version);
      if (same && JSON.stringify(same) !== JSON.stringify(value)) {
        throw new Refusal('ResourceExistsException', `A version ${version} already exists.`);
      }
      if (!same) {
        secret.versions.set(version, value);
        secret.previous = secret.current;
        secret.current = version;
        for (const label of asked.VersionStages ?? []) if (label !== 'AWSCURRENT') secret.labels.set(label, version);
      }
      forget(secret);
      return { ARN: asked.SecretId, Name: asked.SecretId, VersionId: version, VersionStages: ['AWSCURRENT'] };
    },
    UpdateSecretVersionStage(asked) {
      const secret = kept(asked);
      const { VersionStage = '', MoveToVersionId, RemoveFromVersionId } = asked;
      if (RemoveFromVersionId !== undefined && secret.labels.get(VersionStage) !== RemoveFromVersionId) {
        throw new Refusal('InvalidParameterException', `The label ${VersionStage} is not at that version.`);
      }
      if (MoveToVersionId === undefined) secret.labels.delete(VersionStage);
      else secret.labels.set(VersionStage, MoveToVersionId);
      if (secret.labels.size > 18) throw new Refusal('LimitExceededException', 'Too many labels.');
      forget(secret);
      return { ARN: asked.SecretId, Name: asked.SecretId };
    },
    DeleteSecret(asked) {
      kept(asked);
      if (!asked.ForceDeleteWithoutRecovery)
        throw new Refusal('InvalidParameterException', 'Recovery is not kept here.');
      secrets.delete(asked.SecretId ?? '');
      return { ARN: asked.SecretId, Name: asked.SecretId, DeletionDate: 1 };
    },
    /** By the beginning of their names, `MaxResults` or fewer at a time. */
    ListSecrets({ Filters = [], MaxResults = 100, NextToken = '0' }) {
      const isWanted = (name: string) =>
        Filters.every(({ Key, Values }) => Key === 'name' && Values.some((prefix) => name.startsWith(prefix)));
      const names = [...secrets.keys()].filter(isWanted);
      const [from, to] = [Number(NextToken), Number(NextToken) + Math.min(MaxResults, MOST_LISTED)];
      const SecretList = names.slice(from, to).map((Name) => ({ ARN: Name, Name }));
      return { SecretList, ...(to < names.length ? { NextToken: String(to) } : {}) };
    },
  };

  const server = createServer(async (request, response) => {
    const answer = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
    if (isFailing) return answer(500, { __type: 'InternalServiceError', message: 'An error occurred.' });
    if (!request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 ')) {
      return answer(403, { __type: 'MissingAuthenticationTokenException', message: 'Request is missing a signature' });
    }
    const target = String(request.headers['x-amz-target']);
    const operation = operations[target.replace('secretsmanager.', '')];
    if (!operation) return answer(400, { __type: 'UnknownOperationException' });
    try {
      return answer(200, operation(JSON.parse(await text(request)) as Asked));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return answer(400, { __type: error.type, Message: error.message });
    }
  });
  return {
    ...(await listenLocally(server)),
    reads: () => reads,
    names: () => [...secrets.keys()],
    fail(failing) {
      isFailing = failing;
    },
  };
};
