import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { listenLocally } from '../../listen-locally.ts';
import { type Faults, makeFaults } from '../faults.ts';
import type { CloudFault } from './faults.ts';
import { type Microvm, type MicrovmImage, type MicrovmOptions, type MicrovmRequest, makeMicrovm } from './microvm.ts';
import { type Operation, readRequest, routeOf, ServiceError, writeAnswer } from './model.ts';

export interface LambdaMicrovmsOptions extends MicrovmOptions {
  /** By their names. */
  readonly images: Readonly<Record<string, MicrovmImage>>;
  /** Machines at one time. @default 100 */
  readonly mostMicrovms?: number;
  /** What has ended may be terminated again, as the model says. @default refused, as it was seen to be */
  readonly endsTwice?: boolean;
}

/** A local AWS Lambda as far as MicroVMs are run: its wire protocol, and processes where the cloud has machines. */
export interface LambdaMicrovmsCloud {
  readonly endpoint: string;
  readonly faults: Faults<Operation, CloudFault>;
  /** Requests so far, by operation. */
  readonly requests: ReadonlyMap<Operation, number>;
  /** Bodies of the requests so far. */
  readonly bodies: readonly string[];
  /** All machines that ever were, oldest first. */
  readonly microvms: readonly Microvm[];
  close(): Promise<void>;
}

export const REGION = 'eu-central-1';
const PREFIX = `arn:aws:lambda:${REGION}:123456789012:microvm-image:`;
export const imageArnOf = (name: string): string => `${PREFIX}${name}`;
const MANAGED = `arn:aws:lambda:${REGION}:aws:network-connector:aws-network-connector:`;
const LONGEST_SECONDS = 28_800;
const PAGE = 50;

type Asked = Readonly<Record<string, unknown>>;

export const startLambdaMicrovms = async (options: LambdaMicrovmsOptions): Promise<LambdaMicrovmsCloud> => {
  const { images, mostMicrovms = 100, endsTwice = false } = options;
  const microvms: Microvm[] = [];
  const byToken = new Map<string, { readonly asked: string; readonly microvm: Microvm }>();
  const faults = makeFaults<Operation, CloudFault>();
  const requests = new Map<Operation, number>();
  const bodies: string[] = [];

  const requireImage = (arn: unknown): readonly [string, MicrovmImage] => {
    const name = String(arn).replace(PREFIX, '');
    const image = images[name];
    // A bare name is not taken here, whatever the model's words are.
    if (!image || !String(arn).startsWith(PREFIX)) {
      throw new ServiceError('ResourceNotFoundException', `MicroVM image not found: ${arn}`);
    }
    return [name, image];
  };

  const requireMicrovm = ({ microvmIdentifier }: Asked): Microvm => {
    const found = microvms.find(({ id }) => id === microvmIdentifier);
    if (!found) throw new ServiceError('ResourceNotFoundException', `MicroVM not found: ${microvmIdentifier}`);
    return found;
  };

  const requireState = (microvm: Microvm, ...states: readonly string[]): void => {
    if (microvm.state() === 'TERMINATED') {
      throw new ServiceError('ValidationException', `MicroVM ${microvm.id} has been terminated and cannot be changed.`);
    }
    if (!states.includes(microvm.state())) {
      throw new ServiceError('ConflictException', `MicroVM ${microvm.id} is ${microvm.state()}.`);
    }
  };

  const run = (asked: Asked): object => {
    const token = asked['clientToken'];
    const before = typeof token === 'string' ? byToken.get(token) : undefined;
    if (before) {
      if (before.asked === JSON.stringify(asked)) return before.microvm.view();
      throw new ServiceError('ConflictException', 'The client token was used with another request.');
    }
    const [, image] = requireImage(asked['imageIdentifier']);
    const { versions = ['1.0'] } = image;
    const version = asked['imageVersion'] ?? versions.at(-1);
    if (!versions.includes(String(version))) {
      throw new ServiceError('ResourceNotFoundException', `The image has no version ${version}`);
    }
    if (microvms.filter((one) => one.state() !== 'TERMINATED').length >= mostMicrovms) {
      throw new ServiceError('ServiceQuotaExceededException', 'You have exceeded a service quota.');
    }
    const { runHookPayload, executionRoleArn } = asked as { runHookPayload?: string; executionRoleArn?: string };
    const request: MicrovmRequest = {
      imageArn: String(asked['imageIdentifier']),
      imageVersion: String(version),
      maximumDurationInSeconds: Number(asked['maximumDurationInSeconds'] ?? LONGEST_SECONDS),
      ingressNetworkConnectors: (asked['ingressNetworkConnectors'] ?? [`${MANAGED}HTTP_INGRESS`]) as string[],
      egressNetworkConnectors: (asked['egressNetworkConnectors'] ?? [`${MANAGED}INTERNET_EGRESS`]) as string[],
      ...(runHookPayload === undefined ? {} : { runHookPayload }),
      ...(executionRoleArn === undefined ? {} : { executionRoleArn }),
    };
    const microvm = makeMicrovm(image, request, options);
    microvms.push(microvm);
    if (typeof token === 'string') byToken.set(token, { asked: JSON.stringify(asked), microvm });
    return microvm.view();
  };

  const does: Readonly<Record<Operation, (asked: Asked) => object>> = {
    RunMicrovm: run,
    GetMicrovm: (asked) => requireMicrovm(asked).view(),
    ListMicrovms({ imageIdentifier, imageVersion, maxResults = PAGE, nextToken = '0' }) {
      if (imageIdentifier !== undefined) requireImage(imageIdentifier);
      const found = microvms.filter(
        ({ request }) =>
          (imageIdentifier === undefined || request.imageArn === imageIdentifier) &&
          (imageVersion === undefined || request.imageVersion === imageVersion),
      );
      const from = Number(nextToken);
      const to = from + Number(maxResults);
      const items = found.slice(from, to).map((one) => one.summary());
      return { items, ...(to < found.length ? { nextToken: String(to) } : {}) };
    },
    TerminateMicrovm(asked) {
      const microvm = requireMicrovm(asked);
      if (!endsTwice) requireState(microvm, 'PENDING', 'RUNNING', 'SUSPENDING', 'SUSPENDED', 'TERMINATING');
      microvm.terminate();
      return {};
    },
    SuspendMicrovm(asked) {
      const microvm = requireMicrovm(asked);
      requireState(microvm, 'RUNNING', 'SUSPENDED');
      microvm.suspend();
      return {};
    },
    ResumeMicrovm(asked) {
      const microvm = requireMicrovm(asked);
      requireState(microvm, 'SUSPENDED', 'RUNNING');
      microvm.resume();
      return {};
    },
  };

  const answer = (request: IncomingMessage, body: string, fault: CloudFault | undefined) => {
    const { pathname, searchParams: query } = new URL(request.url ?? '', 'http://localhost');
    if (fault?.kind === 'error') throw new ServiceError(fault.type, 'as the test wants it', fault.retryAfterSeconds);
    const route = routeOf(request.method ?? '', pathname);
    if (!route) throw new ServiceError('UnknownOperationException', 'Unknown operation');
    if (!SIGNED.test(request.headers.authorization ?? '')) {
      throw new ServiceError('MissingAuthenticationTokenException', 'Missing Authentication Token');
    }
    const { operation, uri } = route;
    return writeAnswer(operation, does[operation](readRequest(operation, { uri, query, body })));
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await text(request);
    const operation = routeOf(request.method ?? '', new URL(request.url ?? '', 'http://localhost').pathname)?.operation;
    if (operation) requests.set(operation, (requests.get(operation) ?? 0) + 1);
    bodies.push(body);
    const fault = operation && faults.take(operation);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') return void request.socket.resetAndDestroy();
    const headers = { 'content-type': 'application/json', 'x-amzn-requestid': randomUUID() };
    try {
      const { status, body: said } = answer(request, body, fault);
      if (fault?.kind === 'answer-lost') return void request.socket.resetAndDestroy();
      response.writeHead(status, headers).end(said);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const { type, message, status, retryAfterSeconds } = error;
      const later = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
      response.writeHead(status, { ...headers, ...later, 'x-amzn-errortype': type }).end(JSON.stringify({ message }));
    }
  };

  const server = createServer((request, response) => {
    serve(request, response).catch((error: Error) => response.writeHead(500).end(error.message));
  });
  const { url, close } = await listenLocally(server);
  return {
    endpoint: url,
    faults,
    requests,
    bodies,
    microvms,
    async close() {
      await close();
      for (const microvm of microvms) {
        microvm.crash();
        microvm.terminate();
      }
      await Promise.all(microvms.map(({ terminated }) => terminated));
    },
  };
};

const SIGNED = new RegExp(`^AWS4-HMAC-SHA256 Credential=[^/]+/\\d{8}/${REGION}/lambda/aws4_request`);
