import { existsSync } from 'node:fs';
import { type ClientRequest, get, type IncomingMessage, request } from 'node:http';
import { json } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import type { Context } from 'aws-lambda';

/*
 * Lambda's runtime for Node: loads the handler, and asks the Runtime API for one invocation after the other
 * (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
 */

type Handler = (event: unknown, stream: ClientRequest, context: Context) => unknown;

const STREAMING = Symbol('streaming');
const {
  AWS_LAMBDA_RUNTIME_API: api = '',
  _HANDLER: handlerName = '',
  LAMBDA_TASK_ROOT: root = '',
  AWS_LAMBDA_FUNCTION_NAME: functionName = '',
} = process.env;
const base = `http://${api}/2018-06-01/runtime`;

const post = (path: string, headers: Record<string, string>): ClientRequest => {
  const sent = request(`${base}/${path}`, { method: 'POST', headers });
  sent.on('response', (response) => response.resume());
  return sent;
};

const fail = (path: string, error: unknown): Promise<void> =>
  new Promise((resolve) => {
    const { errorType, body } = describe(error);
    const sent = post(path, { 'lambda-runtime-function-error-type': errorType });
    sent.once('close', resolve).on('error', () => resolve());
    sent.end(body);
  });

const describe = (error: unknown) => {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  const trace = stack?.split('\n') ?? [];
  return { errorType: name, body: JSON.stringify({ errorType: name, errorMessage: message, trace }) };
};

/** `file.export`, as a function is configured. */
const load = async (): Promise<Handler & { [STREAMING]?: boolean }> => {
  const dot = handlerName.lastIndexOf('.');
  const file = `${root}/${handlerName.slice(0, dot)}`;
  const path = [`${file}.mjs`, `${file}.ts`].find((one) => existsSync(one)) ?? file;
  const module = (await import(pathToFileURL(path).href)) as Record<string, Handler>;
  const handler = module[handlerName.slice(dot + 1)];
  if (handler) return handler;
  throw Object.assign(new Error(`${handlerName} is undefined or not exported`), { name: 'Runtime.HandlerNotFound' });
};

const next = (): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => get(`${base}/invocation/next`, { agent: false }, resolve).once('error', reject));

const contextOf = ({ headers }: IncomingMessage): Context => {
  const header = (name: string): string => String(headers[`lambda-runtime-${name}`] ?? '');
  const deadlineAt = Number(header('deadline-ms'));
  return {
    functionName,
    functionVersion: process.env['AWS_LAMBDA_FUNCTION_VERSION'] ?? '',
    memoryLimitInMB: process.env['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'] ?? '',
    logGroupName: process.env['AWS_LAMBDA_LOG_GROUP_NAME'] ?? '',
    logStreamName: process.env['AWS_LAMBDA_LOG_STREAM_NAME'] ?? '',
    invokedFunctionArn: header('invoked-function-arn'),
    awsRequestId: header('aws-request-id'),
    ...(header('aws-tenant-id') ? { tenantId: header('aws-tenant-id') } : {}),
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, deadlineAt - Date.now()),
  } as Context;
};

const invoke = async (handler: Handler, isStreaming: boolean): Promise<void> => {
  const invocation = await next();
  const context = contextOf(invocation);
  const path = `invocation/${context.awsRequestId}`;
  const event: unknown = await json(invocation);
  if (!isStreaming) {
    try {
      const result = await (handler as (...given: unknown[]) => unknown)(event, context);
      const sent = post(`${path}/response`, {});
      const closed = new Promise((resolve) => sent.once('close', resolve));
      sent.end(JSON.stringify(result ?? null));
      await closed;
    } catch (error) {
      await fail(`${path}/error`, error);
    }
    return;
  }
  const stream = Object.assign(
    post(`${path}/response`, {
      'lambda-runtime-function-response-mode': 'streaming',
      'transfer-encoding': 'chunked',
      trailer: 'Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body',
    }),
    { setContentType: () => {} },
  );
  const closed = new Promise<void>((resolve) => stream.once('close', resolve));
  stream.on('error', () => {});
  try {
    await handler(event, stream, context);
  } catch (error) {
    const { errorType, body } = describe(error);
    stream.addTrailers({
      'Lambda-Runtime-Function-Error-Type': errorType,
      'Lambda-Runtime-Function-Error-Body': Buffer.from(body).toString('base64'),
    });
    stream.end();
  }
  // Who forgets to end its stream waits here for its time-out.
  await closed;
};

Object.assign(globalThis, {
  awslambda: {
    streamifyResponse: (handler: object) => Object.assign(handler, { [STREAMING]: true }),
    HttpResponseStream: {
      /** Status and headers come first, as JSON, then eight NULs. */
      from(stream: ClientRequest, head: object) {
        stream.setHeader('content-type', 'application/vnd.awslambda.http-integration-response');
        stream.write(JSON.stringify(head));
        stream.write(Buffer.alloc(8));
        return stream;
      },
    },
  },
});
const handler = await load().catch(async (error: Error) => {
  const type = error.name.startsWith('Runtime.') ? error.name : 'Runtime.ImportModuleError';
  await fail('init/error', Object.assign(error, { name: type }));
  process.exit(1);
});
for (;;) await invoke(handler, handler[STREAMING] === true);
